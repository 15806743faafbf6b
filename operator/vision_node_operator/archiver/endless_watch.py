"""Watch objects, and try again while the API server refuses that."""

import asyncio
import logging
from collections.abc import AsyncIterator

from vision_node_contract.clients.kube import Kube, KubeError, WatchEvent, backoff

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 30.0)
"""First and longest wait in seconds if the API server refuses the watch. During an upgrade, the CRD
or the rights may be missing for a moment."""


async def watch(kube: Kube, path: str, kind: str, pause: float = 0) -> AsyncIterator[WatchEvent]:
    """Yield all objects at a path, and then every change, until cancelled.

    `kind` names the objects in messages, and `pause` is as in Kube.follow.
    """
    failures = 0
    while True:
        try:
            async for event in kube.follow(path, pause=pause):
                failures = 0
                yield event
        except KubeError as error:
            pause = backoff(failures, *RETRY_SECONDS)
            log.warning("can't watch %s, trying again in %.1f s: %s", kind, pause, error)
            await asyncio.sleep(pause)
            failures += 1
