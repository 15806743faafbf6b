"""Caches that watches keep up to date, so that most reads need no request to the API server."""
