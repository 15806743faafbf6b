"""Writes for ImageBatches and their shards."""
