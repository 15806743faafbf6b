"""Read and change the one Secret that has the API keys of a release."""

import asyncio
import logging
from collections.abc import Callable

from vision_node_contract.clients.kube import (
    ConflictError,
    Kube,
    UnavailableError,
    backoff,
)
from vision_node_contract.json_types import Json

log = logging.getLogger(__name__)

ATTEMPTS = 6
"""Maximum number of attempts to change the Secret. Each loses only against another change."""

CHANGE_SECONDS = 20.0
"""Time limit for all attempts together, in seconds."""

RETRY_SECONDS = (0.02, 0.5)
"""First and longest wait in seconds before another attempt. The wait doubles, with full jitter."""

Data = dict[str, str]
"""The `data` of a Secret: values in base64, by name."""

Decide = Callable[[Data], "dict[str, str | None] | None"]
"""Function that takes a Secret's data, and returns changes."""


class KeysSecret:
    """The Secret with the API keys.

    Args:
        kube: Client for the API server.
        namespace: The release's namespace.
        name: Name of the Secret.
    """

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self.name = name
        self.list_path = f"/api/v1/namespaces/{namespace}/secrets"
        self._kube = kube

    async def read(self) -> Json:
        """Return the Secret from the API server.

        Raises:
            NotFoundError: there is no such Secret.
            KubeError: the API server did not respond, or refused the request.
        """
        return await self._kube.request("GET", f"{self.list_path}/{self.name}")

    async def change(self, decide: Decide) -> Json:
        """Change the Secret, on condition that it is not changed by another client meanwhile.

        Args:
            decide: Function that takes the Secret's data, and returns new values by name (None to
                remove one), or None if nothing is to be changed. It is called again after a
                conflict, and after a write whose answer was lost: then it must recognize what it
                wanted.

        Returns:
            The Secret as it is now.

        Raises:
            NotFoundError: there is no such Secret.
            KubeError: the API server did not respond, or refused the request.
        """
        try:
            async with asyncio.timeout(CHANGE_SECONDS):
                return await self._change(decide)
        except TimeoutError as error:
            message = f"Secret {self.name} was not changed within {CHANGE_SECONDS:g} s"
            raise UnavailableError(0, "NoAnswer", message) from error

    async def _change(self, decide: Decide) -> Json:
        failures = 0
        while True:
            secret = await self.read()
            changes = decide(secret.get("data") or {})
            if changes is None:
                return secret

            try:
                return await self._patch(secret, changes)
            except (ConflictError, UnavailableError) as error:
                if failures + 1 == ATTEMPTS:
                    raise
                log.info("changing Secret %s again: %s", self.name, error.reason)

            await asyncio.sleep(backoff(failures, *RETRY_SECONDS))
            failures += 1

    async def _patch(self, secret: Json, changes: dict[str, str | None]) -> Json:
        # With the resourceVersion, the patch fails if the Secret has changed since it was read.
        version = {"resourceVersion": secret["metadata"]["resourceVersion"]}
        body = {"metadata": version, "data": changes}
        return await self._kube.request("PATCH", f"{self.list_path}/{self.name}", body=body)
