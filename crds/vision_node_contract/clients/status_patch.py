"""Change the status of an object, on the condition that the object has not changed."""

from typing import Any

from ..json_types import Json
from ..models.imagejob import ObjectMeta
from .kube import Kube


async def patch_status(kube: Kube, path: str, known: ObjectMeta, patch: dict[str, Any]) -> Json:
    """Change the status of the object whose metadata was `known`, and return the changed object.

    Args:
        kube: Client for the API server.
        path: API path of the objects of this kind in the namespace.
        known: The object's metadata when it was read.
        patch: Merge patch (RFC 7386) of the status.

    Raises:
        ConflictError: The object has changed since it was read, so nothing was written.
        KubeError: The API server is unavailable or refused the request.
    """
    metadata = {"resourceVersion": known.resource_version, "uid": known.uid}
    body = {"metadata": metadata, "status": patch}

    return await kube.request("PATCH", f"{path}/{known.name}/status", body=body)
