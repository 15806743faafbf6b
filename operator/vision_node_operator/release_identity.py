"""Give a release its id, which names the release's folders in the bucket.

The id is in a ConfigMap that the chart does not render. It has no owner and survives `helm
uninstall`, so a release that is installed again finds its objects.
"""

import base64
import logging
import secrets

from vision_node_contract.bucket_keys import ID_CHARACTERS, RELEASE_ID
from vision_node_contract.clients.kube import Kube, NotFoundError
from vision_node_contract.json_types import Json

from .setup_job import labels

log = logging.getLogger(__name__)

ID_BYTES = 8
"""Number of random bytes for an id, of which the id uses 60 bits."""


class IdentityInvalidError(Exception):
    """The identity ConfigMap exists but has no valid id."""


def new_id() -> str:
    """Return a new random id."""
    return base64.b32encode(secrets.token_bytes(ID_BYTES)).decode().lower()[:ID_CHARACTERS]


async def ensure(kube: Kube, namespace: str, name: str) -> None:
    """Create the identity ConfigMap `name` if it does not exist. An existing one never changes.

    Raises:
        IdentityInvalidError: The ConfigMap exists without a valid id. It gets no new id, because
            the release would no longer find the objects in its folders.
        KubeError: The API server is unavailable or refused a request.
    """
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    try:
        found = await kube.request("GET", f"{path}/{name}")
    except NotFoundError:
        created = await kube.request("POST", path, body=_manifest(name, new_id()))
        log.info("ConfigMap %s was created; the release's id is %s", name, created["data"]["id"])
        return

    release_id = (found.get("data") or {}).get("id", "")
    if not RELEASE_ID.fullmatch(release_id):
        raise IdentityInvalidError(
            f"ConfigMap {name} has id {release_id!r}, which is not the id of a release: restore "
            "the old id, or delete the ConfigMap to begin with empty folders in the bucket"
        )

    log.info("ConfigMap %s exists; the release's id is %s", name, release_id)


def _manifest(name: str, release_id: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels("identity")},
        "data": {"id": release_id},
    }
