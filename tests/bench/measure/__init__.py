"""Measure the CPU time and memory of components, and the writes to the API server."""
