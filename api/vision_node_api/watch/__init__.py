"""Caches that watches keep up to date, so that few reads need a request to the API server."""
