"""Measure the API without a cluster: the memory of its process, and its cache of ImageJobs."""
