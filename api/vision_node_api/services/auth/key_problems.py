"""Problems that concern the API keys themselves."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vision_node_contract.api_keys import MAX_KEYS
from vision_node_contract.clients.kube import KubeError, NotFoundError

from ...web.problems import Problem
from ..dependency_problems import RETRY_AFTER_SECONDS

log = logging.getLogger(__name__)

MAX_ID_CHARACTERS = 40
"""Maximum number of characters that are quoted of an unknown id."""


def cannot_check(what_happened: str) -> Problem:
    """Return the problem of a client whose key or token can't be checked now."""
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = f"{what_happened} This says nothing about the key or token. Try again later."
    return Problem(503, "AuthenticationUnavailable", detail, headers=headers)


def key_not_found(key_id: str) -> Problem:
    """Return the problem of an id that no key has."""
    shown = key_id[:MAX_ID_CHARACTERS]
    return Problem(404, "KeyNotFound", f"There is no API key {shown!r}. GET /keys lists all keys.")


def too_many_keys() -> Problem:
    """Return the problem of creating a key if there is the maximum number of them."""
    detail = (
        f"The release has {MAX_KEYS} API keys, which is the maximum. Revoke keys that have expired "
        "or are no longer used, with DELETE /keys/{id}."
    )
    return Problem(409, "TooManyKeys", detail)


@contextmanager
def keys_problems(secret: str) -> Iterator[None]:
    """Convert errors from reading or changing the Secret with the keys into problems.

    Raises:
        Problem: 503 AuthenticationUnavailable.
    """
    try:
        yield
    except NotFoundError as error:
        log.warning("Secret %s does not exist", secret)
        headers = {"Retry-After": RETRY_AFTER_SECONDS}
        detail = (
            f"The Secret {secret} does not exist, so there are no API keys. Upgrade the release "
            "with its chart, which creates it with a first key."
        )
        raise Problem(503, "AuthenticationUnavailable", detail, headers=headers) from error
    except KubeError as error:
        log.warning("Secret %s can't be used: %s", secret, error)
        headers = {"Retry-After": RETRY_AFTER_SECONDS}
        detail = (
            "The Kubernetes API server did not respond, or refused to let the API read or change "
            f"the Secret {secret}. Known keys still work. Try again later."
        )
        raise Problem(503, "AuthenticationUnavailable", detail, headers=headers) from error
