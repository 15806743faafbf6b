"""Convert errors from the bucket and the API server into problem documents."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.clients.kube import KubeError
from vision_node_contract.models.reasons import STORAGE_REASONS, Reason

from ..web.problems import Problem
from .storage_health import StorageHealth

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "2"
"""Retry-After, in seconds, while the bucket or the API server is unavailable."""

ADMINISTRATOR_RETRY_AFTER_SECONDS = "30"
"""Retry-After, in seconds, while the bucket has a problem that only an administrator can fix."""


@contextmanager
def kubernetes_problems() -> Iterator[None]:
    """Convert errors from requests to the API server into problems.

    If an object may be missing, the caller has to handle NotFoundError inside the block.

    Raises:
        Problem: 503 KubernetesUnavailable, or 502 JobUnreadable.
    """
    try:
        yield
    except KubeError as error:
        log.warning("reading from Kubernetes failed: %s", error)
        raise kubernetes_unavailable() from error
    except ValueError as error:
        log.warning("an ImageJob can't be read: %s", error)
        detail = "This version of the API can't read the ImageJob. Submit the image again."
        raise Problem(502, "JobUnreadable", detail) from error


@contextmanager
def storage_problems(health: StorageHealth, *, writing: bool = False) -> Iterator[None]:
    """Convert errors from requests to the bucket into problems, and record outcomes in `health`.

    Raises:
        Problem: 503 with one of STORAGE_REASONS.
    """
    try:
        with health.recording(writing=writing):
            yield
    except StoreUnavailableError as error:
        raise _unavailable(error.reason, str(error)) from error


def kubernetes_unavailable() -> Problem:
    """Return the problem for an API server that did not respond, or responded with an error."""
    what_happened = "The Kubernetes API server did not respond, or responded with an error"
    return _unavailable("KubernetesUnavailable", what_happened)


def _unavailable(reason: str, what_happened: str) -> Problem:
    is_temporary = reason not in STORAGE_REASONS or reason == Reason.STORAGE_UNAVAILABLE
    seconds = RETRY_AFTER_SECONDS if is_temporary else ADMINISTRATOR_RETRY_AFTER_SECONDS

    detail = f"{what_happened.rstrip('.')}. Try again later."
    return Problem(503, reason, detail, headers={"Retry-After": seconds})
