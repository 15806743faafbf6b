"""The operator's state: ImageJobs, workers and Describers as they were last observed."""
