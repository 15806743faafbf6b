"""Problems that concern the API keys themselves."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vision_node_contract.api_keys import MAX_KEYS
from vision_node_contract.clients.kube import KubeError, NotFoundError

from ...web.problems import Problem
from ..dependency_problems import ADMINISTRATOR_RETRY_AFTER_SECONDS, RETRY_AFTER_SECONDS

log = logging.getLogger(__name__)

MAX_ID_CHARACTERS = 40
"""Maximum number of characters that are quoted of an unknown id."""


def cannot_check(what_happened: str, what: str = "key or token") -> Problem:
    """Return the problem of a client whose key, token or session can't be checked now."""
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = f"{what_happened} This says nothing about the {what}. Try again later."
    return Problem(503, "AuthenticationUnavailable", detail, headers=headers)


def keys_missing() -> Problem:
    """Return the problem of all clients with a key or a session while there is no Secret."""
    headers = {"Retry-After": ADMINISTRATOR_RETRY_AFTER_SECONDS}
    detail = (
        "The Secret with the API keys of this release does not exist, so no API key and no session "
        "works. An administrator has to restore it, or to upgrade the release with its chart, "
        "which creates it with a first key."
    )
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
def refresh_problems(what_happened: str, what: str = "key or token") -> Iterator[None]:
    """Convert errors from looking up an unknown key or session into problems.

    Raises:
        Problem: 503 AuthenticationUnavailable.
    """
    try:
        yield
    except NotFoundError as error:
        raise keys_missing() from error
    except KubeError as error:
        raise cannot_check(what_happened, what) from error


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
        raise keys_missing() from error
    except KubeError as error:
        log.warning("Secret %s can't be used: %s", secret, error)
        headers = {"Retry-After": RETRY_AFTER_SECONDS}
        detail = (
            "The Kubernetes API server did not respond, or refused to let the API read or change "
            f"the Secret {secret}. Known keys still work. Try again later."
        )
        raise Problem(503, "AuthenticationUnavailable", detail, headers=headers) from error
