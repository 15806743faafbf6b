"""`python -m vision_node_operator.storage_credentials`: generate the bundled MinIO's credentials.

A Job runs this before every install and upgrade of the chart. It never changes keys in an existing
Secret, because MinIO's volume and the running pods use them; it only adds missing keys. So
rendering the chart is deterministic, and no rendered manifest contains a credential.
"""

import asyncio
import base64
import logging
import os
import secrets
import time

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
"""Users of the bundled MinIO; the Secret has
`<user>-access-key` and `<user>-secret-key` for each."""

ACCESS_BYTES = 5
"""Random bytes in an access key, after the component's name: it can't be guessed, and has at most
the 20 characters that MinIO allows. Some attacks need only an access key (CVE-2026-40344,
CVE-2026-41145)."""

SECRET_BYTES = 24
"""Random bytes of a secret key: 192 bits, 32 characters. MinIO takes 8 to 40."""

PATIENCE_SECONDS = 60.0
"""How long to wait for an API server that is unavailable or has not seen the Job's new Role yet."""

PAUSE_SECONDS = (0.2, 3.0)
"""First and longest wait before another try (doubling, with full jitter)."""

LABELS = {
    "app.kubernetes.io/name": "vision-node",
    "app.kubernetes.io/component": "minio",
    "app.kubernetes.io/part-of": "vision-node",
}
"""Without app.kubernetes.io/instance, because Argo CD might take the Secret for an obsolete part of
the application, and delete it
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
        KubeError: the API server refused.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        secret = await kube.request("GET", f"{path}/{name}")
    except NotFoundError:
        await kube.request("POST", path, body=_manifest(name, missing_keys({})))
        log.info("Secret %s was created", name)
        return

    if missing := missing_keys(secret.get("data") or {}):
        # The resourceVersion makes the patch fail if the Secret has changed since it was read.
        version = {"resourceVersion": secret["metadata"]["resourceVersion"]}
        await kube.request("PATCH", f"{path}/{name}", body={"metadata": version, "data": missing})
        log.info("Secret %s: added %s", name, ", ".join(missing))
    else:
        log.info("Secret %s is complete; nothing to change", name)


async def ensure_with_retries(kube: Kube, namespace: str, name: str) -> None:
    """Call `ensure`, and retry for a minute while another attempt may succeed.

    Raises:
        KubeError: the API server kept refusing, or another attempt would not help.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    failures = 0
    while True:
        try:
            return await ensure(kube, namespace, name)
        except (AlreadyExistsError, ConflictError, UnavailableError) as error:
            if time.monotonic() > deadline:
                raise
            log.warning("Secret %s: %s; trying again", name, error)

        await asyncio.sleep(backoff(failures, *PAUSE_SECONDS))
        failures += 1


def _manifest(name: str, data: dict[str, str]) -> Json:
    # MinIO's volume outlives the release, so its credentials have to as well. They do, because Helm
    # does not own what a Job creates.
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "labels": LABELS},
        "data": data,
    }


async def run() -> None:
    """Complete the Secret that $STORAGE_SECRET names, in the namespace $POD_NAMESPACE."""
    async with Kube.connect("storage-credentials") as kube:
        await ensure_with_retries(kube, os.environ["POD_NAMESPACE"], os.environ["STORAGE_SECRET"])


def main() -> None:
    """Run once. An error ends the pod, and the Job starts another one."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    asyncio.run(run())


if __name__ == "__main__":
    main()
