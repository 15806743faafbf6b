"""The timing and the API path of workers' Leases, for use by workers and the operator.

A worker creates a Lease when it is ready to process images, and renews it until the worker stops.
"""

RENEW_SECONDS = 5.0
"""Seconds between renewals of a worker's Lease. A Lease lasts for four of these intervals, so a
worker can miss three renewals."""

LEASE_SECONDS = 20
"""Duration of a Lease. A worker that has not renewed its Lease for this long is considered hung or
disconnected, and is assigned no more images."""


def leases_path(namespace: str) -> str:
    """Return the Kubernetes API path of the Leases in a namespace."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
