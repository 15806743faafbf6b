"""`python -m vision_node_operator.storage_credentials`: generate the bundled MinIO's credentials.

In older charts, a Job runs this before every install and upgrade. In this chart, `release_setup`
calls it. It never changes keys in an existing Secret, because MinIO's volume and the running pods
use them. It only adds missing keys.
Because the chart itself generates no credentials, its rendering is deterministic, and no rendered
manifest contains a credential.
"""

import asyncio
import base64
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable

from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    ConflictError,
    Kube,
    NotFoundError,
    UnavailableError,
    backoff,
)
from vision_node_contract.json_types import Json

log = logging.getLogger(__name__)

USERS = ("root", "api", "operator", "describer")
"""Users of the bundled MinIO. For each user, the Secret has the keys `<user>-access-key` and
`<user>-secret-key`."""

ACCESS_BYTES = 5
"""Number of random bytes that follow the user's name in an access key. They make the key impossible
to guess. That matters because some attacks need only an access key (CVE-2026-40344,
CVE-2026-41145). With this number, the key does not exceed the 20 characters that MinIO allows."""

SECRET_BYTES = 24
"""Number of random bytes in a secret key. That is 192 bits, encoded as 32 characters.
MinIO accepts 8 to 40 characters."""

PATIENCE_SECONDS = 60.0
"""How long to retry while the API server is unavailable or doesn't know the Job's new Role yet."""

PAUSE_SECONDS = (0.2, 3.0)
"""Initial and longest wait before another attempt. The wait doubles with each failure and has full
jitter."""

LABELS = {
    "app.kubernetes.io/name": "vision-node",
    "app.kubernetes.io/component": "minio",
    "app.kubernetes.io/part-of": "vision-node",
}
"""Labels of the Secret. app.kubernetes.io/instance is omitted on purpose: with it, Argo CD might
mistake the Secret for an obsolete part of the application and delete it
(https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/)."""


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


async def with_retries(ensure: Callable[[], Awaitable[None]], name: str) -> None:
    """Call `ensure`. If an error may be temporary, keep trying for PATIENCE_SECONDS.

    `name` is the object that `ensure` creates.

    Raises:
        KubeError: The last attempt failed, or another attempt would not help.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    failures = 0
    while True:
        try:
            return await ensure()
        except (AlreadyExistsError, ConflictError, UnavailableError) as error:
            if time.monotonic() > deadline:
                raise
            log.warning("%s: %s; trying again", name, error)

        await asyncio.sleep(backoff(failures, *PAUSE_SECONDS))
        failures += 1


def _manifest(name: str, data: dict[str, str]) -> Json:
    # MinIO's volume outlives the release, so the credentials must also outlive it. They do, because
    # Helm does not delete objects that a Job has created.
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "labels": LABELS},
        "data": data,
    }


async def run() -> None:
    """Create or complete the Secret $STORAGE_SECRET in the namespace $POD_NAMESPACE."""
    async with Kube.connect("storage-credentials") as kube:
        namespace, name = os.environ["POD_NAMESPACE"], os.environ["STORAGE_SECRET"]
        await with_retries(lambda: ensure(kube, namespace, name), name)


def main() -> None:
    """Generate missing credentials. An error ends the pod, and the Job starts another pod."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    asyncio.run(run())


if __name__ == "__main__":
    main()
