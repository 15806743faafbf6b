"""Measure the operator alone, against a fake API server: rounds, Leases, startup and floods."""
