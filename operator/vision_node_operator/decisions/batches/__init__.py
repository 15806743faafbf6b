"""Decisions about ImageBatches and their shards."""
