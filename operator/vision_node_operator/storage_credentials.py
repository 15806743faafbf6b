"""`python -m vision_node_operator.storage_credentials`: generate the bundled MinIO's credentials.

In older charts, a Job runs this before every install and upgrade. In this chart, `release_setup`
calls it. It never changes keys in an existing Secret, because MinIO's volume and the running pods
use them. It only adds missing keys.
Because the chart itself generates no credentials, its rendering is deterministic, and no rendered
manifest contains a credential.
"""

import base64
import logging
import os
import secrets

from vision_node_contract.clients.kube import (
    Kube,
    NotFoundError,
)
from vision_node_contract.json_types import Json

from .setup_job import labels, run_to_end, with_retries

log = logging.getLogger(__name__)

USERS = ("root", "api", "operator", "archiver", "describer")
"""Users of the bundled MinIO. For each user, the Secret has the keys `<user>-access-key` and
`<user>-secret-key`."""

ACCESS_BYTES = 5
"""Number of random bytes that follow the user's name in an access key. They make the key impossible
to guess. That matters because some attacks need only an access key (CVE-2026-40344,
CVE-2026-41145). With this number, the key does not exceed the 20 characters that MinIO allows."""

SECRET_BYTES = 24
"""Number of random bytes in a secret key. That is 192 bits, encoded as 32 characters.
MinIO accepts 8 to 40 characters."""


def missing_keys(data: Json) -> dict[str, str]:
    """Return the keys that are missing from a Secret's `data`, each with a new value in base64."""
    wanted = {f"{user}-access-key": f"{user}-{secrets.token_hex(ACCESS_BYTES)}" for user in USERS}
    wanted |= {f"{user}-secret-key": secrets.token_urlsafe(SECRET_BYTES) for user in USERS}
    missing = {key: value for key, value in wanted.items() if not data.get(key)}
    return {key: base64.b64encode(value.encode()).decode() for key, value in missing.items()}


async def ensure(kube: Kube, namespace: str, name: str) -> None:
    """Create the Secret `name`, or add its missing keys.

    Raises:
        KubeError: The API server is unavailable or refused a request.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        secret = await kube.request("GET", f"{path}/{name}")
    except NotFoundError:
        await kube.request("POST", path, body=_manifest(name, missing_keys({})))
        log.info("Secret %s was created", name)
        return

    if missing := missing_keys(secret.get("data") or {}):
        # With the resourceVersion, the patch fails if the Secret has changed since it was read.
        version = {"resourceVersion": secret["metadata"]["resourceVersion"]}
        await kube.request("PATCH", f"{path}/{name}", body={"metadata": version, "data": missing})
        log.info("Secret %s: added %s", name, ", ".join(missing))
    else:
        log.info("Secret %s is complete; nothing to change", name)


def _manifest(name: str, data: dict[str, str]) -> Json:
    # MinIO's volume outlives the release, so the credentials must also outlive it. They do, because
    # Helm does not delete objects that a Job has created.
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "labels": labels("minio")},
        "data": data,
    }


async def run() -> None:
    """Create or complete the Secret $STORAGE_SECRET in the namespace $POD_NAMESPACE."""
    async with Kube.connect("storage-credentials") as kube:
        namespace, name = os.environ["POD_NAMESPACE"], os.environ["STORAGE_SECRET"]
        await with_retries(lambda: ensure(kube, namespace, name), name)


def main() -> None:
    """Generate missing credentials. An error ends the pod, and the Job starts another pod."""
    run_to_end(run)


if __name__ == "__main__":
    main()
