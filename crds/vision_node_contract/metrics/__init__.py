"""Metrics for Prometheus: what API and operator share. It needs the extra `metrics`."""
