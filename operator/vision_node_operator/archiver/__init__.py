"""The archiver: freezes the manifests of ImageBatches, and deletes what they leave in the bucket.

It is a process of its own, so that a list of a million images delays no assignment. Every step can
be repeated, so a crash at any point loses nothing, and two archivers do no harm.
"""
