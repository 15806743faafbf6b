"""Generate the credentials of the bundled PostgreSQL, which `release_setup` calls.

They are made in the cluster, so the chart's rendering is deterministic and no rendered manifest
contains a credential. Existing keys are never changed: to replace a password, delete its key, and
upgrade the release with a different `database.secretRevision`.
"""

import secrets

from vision_node_contract.clients.kube import Kube

from . import generated_secret
from .generated_secret import GeneratedSecret

ROLES = {"archiver": "vision_node_archiver", "api": "vision_node_api"}
"""The database's roles by component. For each component, the Secret has the keys
`<component>-username` and `<component>-password`. PostgreSQL's image creates these roles."""

PASSWORD_BYTES = 24
"""Number of random bytes in a password. That is 192 bits, encoded as 32 characters."""


def secret(name: str) -> GeneratedSecret:
    """Return the Secret `name` with a new password of each role."""
    values = {f"{component}-username": role for component, role in ROLES.items()}
    values |= {
        f"{component}-password": secrets.token_urlsafe(PASSWORD_BYTES) for component in ROLES
    }
    return GeneratedSecret(name, "postgres", values)


async def ensure(kube: Kube, namespace: str, name: str) -> None:
    """Create the Secret `name`, or add its missing keys.

    Raises:
        KubeError: The API server is unavailable or refused a request.
    """
    await generated_secret.ensure(kube, namespace, secret(name))
