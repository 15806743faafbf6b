"""Metrics for Prometheus: what the API and the operator share. Requires the extra `metrics`."""
