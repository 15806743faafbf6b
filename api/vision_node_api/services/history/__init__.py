"""Read the history in PostgreSQL, which has the jobs and batches that are no longer in etcd."""
