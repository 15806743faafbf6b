"""Statistics about ImageJobs and durations, as plain data, for the operator's metrics."""
