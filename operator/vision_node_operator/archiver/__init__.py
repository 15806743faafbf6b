"""The archiver: freezes the manifests of ImageBatches, and deletes their objects in the bucket.

It is a separate process, so that a list of a million images delays no assignment. Every step can be
repeated, so a crash at any point loses nothing, and two archivers do no harm.
"""
