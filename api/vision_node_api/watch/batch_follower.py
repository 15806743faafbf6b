"""Watch the ImageBatches, if the cluster has them and the API may read them.

An older chart has neither the CRD nor the rights. Everything else must then work as before.
"""

import asyncio
import logging

from vision_node_contract.clients.kube import KubeError, NotFoundError, UnavailableError, backoff

from .follower import WatchFollower

log = logging.getLogger(__name__)

RETRY_SECONDS = (5.0, 300.0)
"""First and longest wait in seconds before the API server is asked again. An upgrade of the chart
also restarts the API, so that a retry is needed only if the rights come later than the API."""

_HTTP_FORBIDDEN = 403


class BatchFollower(WatchFollower):
    """Watches the ImageBatches, and knows why it can't."""

    refusal = ""
    """Why the API server refuses to list ImageBatches, and what to do; empty if it does not."""

    async def _run(self) -> None:
        failures = 0
        while True:
            await self.check()
            if self.refusal:
                await asyncio.sleep(backoff(failures, *RETRY_SECONDS))
                failures += 1
                continue

            failures = 0
            try:
                await self._follow()
            except KubeError as error:
                log.debug("%s can't be watched: %s", self.path, error)

            # Without a wait, a server that allows the list but not the watch would be asked again
            # and again.
            await asyncio.sleep(backoff(0, *RETRY_SECONDS))

    async def check(self) -> None:
        """Find out whether the API server lets the API list ImageBatches."""
        try:
            await self._kube.request("GET", self.path, query=[("limit", "1")])
        except KubeError as error:
            self._record(_refusal(error))
        else:
            self._record("")

    def _record(self, refusal: str) -> None:
        if refusal and refusal != self.refusal:
            log.warning("%s can't be watched. %s", self.path, refusal)
        elif self.refusal and not refusal:
            log.info("%s can be watched again", self.path)

        self.refusal = refusal


def _refusal(error: KubeError) -> str:
    """Return what to do about the error; empty if a retry may succeed."""
    remedy = "Upgrade the release with a chart of the API's version, and apply its CRDs."
    if isinstance(error, NotFoundError):
        return f"The cluster has no ImageBatches. {remedy}"

    if error.status == _HTTP_FORBIDDEN:
        return f"The API may not read ImageBatches. {remedy}"

    is_temporary = isinstance(error, UnavailableError)
    return "" if is_temporary else f"Kubernetes refuses to list ImageBatches ({error.reason})."
