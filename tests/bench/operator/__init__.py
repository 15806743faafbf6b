"""Measure the operator without a cluster: rounds, Lease renewals, the start, and long queues."""
