"""Measure the operator without a cluster: rounds, Lease renewals, startup, and long queues."""
