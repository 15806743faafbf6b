"""The history of single ImageJobs: archive, evict and delete them, and sweep their objects."""
