"""Measurements of shards of ImageBatches, without a cluster."""
