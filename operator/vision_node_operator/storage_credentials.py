"""`python -m vision_node_operator.storage_credentials`: generate the bundled MinIO's credentials.

In older charts, a Job runs this before every install and upgrade. In this chart, `release_setup`
calls it. It never changes keys in an existing Secret, because MinIO's volume and the running pods
use them. It only adds missing keys.
Because the chart itself generates no credentials, its rendering is deterministic, and no rendered
manifest contains a credential.
"""

import os
import secrets

from vision_node_contract.clients.kube import Kube

from . import generated_secret
from .generated_secret import GeneratedSecret
from .setup_job import run_to_end, with_retries

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


def secret(name: str) -> GeneratedSecret:
    """Return the Secret `name` with new credentials of all users."""
    values = {f"{user}-access-key": f"{user}-{secrets.token_hex(ACCESS_BYTES)}" for user in USERS}
    values |= {f"{user}-secret-key": secrets.token_urlsafe(SECRET_BYTES) for user in USERS}
    return GeneratedSecret(name, "minio", values)


async def ensure(kube: Kube, namespace: str, name: str) -> None:
    """Create the Secret `name`, or add its missing keys.

    Raises:
        KubeError: The API server is unavailable or refused a request.
    """
    await generated_secret.ensure(kube, namespace, secret(name))


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
