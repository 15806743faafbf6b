"""Leases of workers: the times and the API path that workers and the operator share.

A worker creates a Lease when it is ready to process images, and renews it until it stops.
"""

RENEW_SECONDS = 5.0
"""Seconds between two renewals of a worker's Lease: four per lease duration, so three renewals may
be lost."""

LEASE_SECONDS = 20
"""Duration of a Lease. A worker that has not renewed its Lease for this long is hung or cut off,
and gets no more images."""


def leases_path(namespace: str) -> str:
    """Return the path of the namespace's Leases in the Kubernetes API."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
