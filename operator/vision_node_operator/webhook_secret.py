"""Generate the secret with which messages to callbacks are signed, which `release_setup` calls.

It is made in the cluster, so the chart's rendering is deterministic and no rendered manifest
contains it. An existing key is never changed: docs/webhooks.md says how to rotate it.
"""

import base64
import secrets

from vision_node_contract.clients.kube import Kube

from . import generated_secret
from .generated_secret import GeneratedSecret

SECRET_BYTES = 32
"""Number of random bytes in the secret, as many as HMAC-SHA256 uses."""


def secret(name: str) -> GeneratedSecret:
    """Return the Secret `name` with a new secret, in the form that Standard Webhooks defines."""
    text = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return GeneratedSecret(name, "webhooks", {"secret": f"whsec_{text}"})


async def ensure(kube: Kube, namespace: str, name: str) -> None:
    """Create the Secret `name`, or add its missing key.

    Raises:
        KubeError: The API server is unavailable or refused a request.
    """
    await generated_secret.ensure(kube, namespace, secret(name))
