"""Artifacts that are downloaded or built once and kept in the cache: tools, packages and images."""
