"""Caches that a watch fills, so that reads cost the API server nothing."""
