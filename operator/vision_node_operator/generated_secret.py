"""Create a Secret with generated credentials once, and never change what it contains."""

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from vision_node_contract.clients.kube import Kube, NotFoundError
from vision_node_contract.json_types import Json

from .setup_job import labels

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A Secret that the release needs, with a new value for each of its keys."""

    name: str
    component: str
    """The component that it is for, which is in its labels."""
    values: Mapping[str, str]
    """New values, of which those are used whose keys are missing in the cluster."""

    def missing(self, data: Json) -> dict[str, str]:
        """Return the keys that are missing from a Secret's `data`, with their values in base64."""
        return {
            key: base64.b64encode(value.encode()).decode()
            for key, value in self.values.items()
            if not data.get(key)
        }

    def manifest(self) -> Json:
        """Return the complete Secret.

        A volume outlives the release, so the credentials to its data must also outlive it. They do,
        because Helm does not delete objects that a Job has created.
        """
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": self.name, "labels": labels(self.component)},
            "data": self.missing({}),
        }


async def ensure(kube: Kube, namespace: str, wanted: GeneratedSecret) -> None:
    """Create the Secret, or add its missing keys.

    Raises:
        KubeError: The API server is unavailable or refused a request.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        secret = await kube.request("GET", f"{path}/{wanted.name}")
    except NotFoundError:
        await kube.request("POST", path, body=wanted.manifest())
        log.info("Secret %s was created", wanted.name)
        return

    if missing := wanted.missing(secret.get("data") or {}):
        # With the resourceVersion, the patch fails if the Secret has changed since it was read.
        version = {"resourceVersion": secret["metadata"]["resourceVersion"]}
        body = {"metadata": version, "data": missing}
        await kube.request("PATCH", f"{path}/{wanted.name}", body=body)
        log.info("Secret %s: added %s", wanted.name, ", ".join(missing))
    else:
        log.info("Secret %s is complete; nothing to change", wanted.name)
