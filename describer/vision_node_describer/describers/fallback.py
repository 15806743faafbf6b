"""When another describer stands in for one that can't work, and how the result says so."""

import logging
from collections.abc import Mapping

from vision_node_contract.models.description import Description, Fallback, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from . import load
from .interface import Describer, Setup

log = logging.getLogger(__name__)

OUTAGES = frozenset(
    {
        Reason.PROVIDER_UNAVAILABLE,
        Reason.ATTEMPT_TIMED_OUT,
        Reason.RATE_LIMITED,
        Reason.QUOTA_EXHAUSTED,
    }
)
"""What another describer can make up for. Not an image that can't be read: it can't, either. Not a
wrong key or model, which it would hide from those who must put it right. Not a refusal, which is an
answer."""


def standing_by(environment: Mapping[str, str]) -> Describer | None:
    """Return the describer that may stand in: FALLBACK_PROVIDER, with FALLBACK_MODEL and FALLBACK_OPTIONS.

    None if there is none, or if it can't work, which is logged: the images go on without.
    """
    provider = environment.get("FALLBACK_PROVIDER", "")
    if not provider:
        return None

    told = {"MODEL": "FALLBACK_MODEL", "DESCRIBER_OPTIONS": "FALLBACK_OPTIONS"}
    own = {name: environment.get(other, "") for name, other in told.items()}
    try:
        return load(provider, Setup.from_env({**environment, **own}))
    except DescribeError as error:
        log.error("%s can't stand in: %s: %s", provider, error.reason, error.message)  # noqa: TRY400
        return None


def may_stand_in(
    error: DescribeError, options: Options, *, attempt: int, max_attempts: int
) -> bool:
    """Return whether the fallback takes this image.

    On the last attempt only, since an outage may pass; at once if it doesn't pass by itself.

    Args:
        error: Why the describer failed.
        options: The image's; `fallback: never` refuses.
        attempt: Which one this is, from 1.
        max_attempts: The ImageJob's.
    """
    if error.reason not in OUTAGES or options.fallback == "never":
        return False
    return attempt >= max_attempts or not error.reason.retryable


def instead_of(describer: str, error: DescribeError, description: Description) -> Description:
    """Return the stand-in's description, which says for whom and why."""
    return description.model_copy(
        update={"fallback": Fallback(from_=describer, reason=error.reason)}
    )
