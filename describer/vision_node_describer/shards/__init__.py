"""Describe the images of a shard of an ImageBatch, and commit what has been done."""
