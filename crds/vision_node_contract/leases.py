"""Worker Leases: the times and the API path that workers and the operator share.

A worker creates a Lease when it starts to serve, and renews it for as long as it does.
"""

RENEW_SECONDS = 5.0
"""How often a worker renews its Lease: four times per lease duration, so three renewals may be
lost."""

LEASE_SECONDS = 20
"""A worker whose Lease was not renewed for this long is hung or cut off, and gets no more
images."""


def leases_path(namespace: str) -> str:
    """Return the path of the namespace's Leases in the Kubernetes API."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
