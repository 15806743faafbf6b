"""Clients of the API server and of the bucket, with timeouts and typed errors."""
