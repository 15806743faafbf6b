"""The archiver: writes the history, and deletes what is no longer needed.

It writes finished ImageJobs and results of ImageBatches to PostgreSQL, and then evicts them from
etcd. It deletes data whose time to live has ended, sweeps the bucket, and freezes the manifests of
ImageBatches. It is a separate process, so that neither a slow database nor a list of a million
images delays an assignment. Every step can be repeated, so a crash at any point loses nothing, and
two archivers do no harm.
"""
