"""Describe the images of a shard of an ImageBatch, and commit the results."""
