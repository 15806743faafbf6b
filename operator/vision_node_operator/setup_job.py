"""What the Jobs share that make objects before a release starts."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    ConflictError,
    UnavailableError,
    backoff,
)

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""How long to retry while the API server is unavailable or doesn't know the Job's new Role yet."""

PAUSE_SECONDS = (0.2, 3.0)
"""Initial and longest wait before another attempt. The wait doubles with each failure and has full
jitter."""


def labels(component: str) -> dict[str, str]:
    """Return the labels of an object that a Job makes and that outlives the release.

    app.kubernetes.io/instance is omitted on purpose: with it, Argo CD might mistake the object for
    an obsolete part of the application and delete it
    (https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/).
    """
    return {
        "app.kubernetes.io/name": "vision-node",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "vision-node",
    }


def run_to_end(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a Job's work with logs. An error ends the pod, and the Job starts another pod."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    asyncio.run(run())


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
