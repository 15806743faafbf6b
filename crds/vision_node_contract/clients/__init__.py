"""Clients for the API server and the bucket, with timeouts and typed errors."""
