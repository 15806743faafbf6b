"""Decide when the fallback describes an image, and mark its descriptions."""

import logging
from collections.abc import Mapping

from vision_node_contract.models.description import Description, Fallback, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from .interface import Describer, DescriberBrokenError, Setup
from .registry import load

log = logging.getLogger(__name__)

OUTAGES = frozenset(
    {
        Reason.PROVIDER_UNAVAILABLE,
        Reason.ATTEMPT_TIMED_OUT,
        Reason.RATE_LIMITED,
        Reason.QUOTA_EXHAUSTED,
    }
)
"""Reasons for which a fallback helps, besides a DescriberBrokenError. A fallback would not help
with an unreadable image, and would hide a wrong key or model from the people who must correct it. A
refusal is a valid answer, so it needs no fallback."""


def load_fallback(environment: Mapping[str, str]) -> Describer | None:
    """Return the fallback that FALLBACK_PROVIDER, FALLBACK_MODEL and FALLBACK_OPTIONS configure.

    Return None if no fallback is configured or if it can't work. If it can't work, the reason is
    logged, and images are described without a fallback.
    """
    provider = environment.get("FALLBACK_PROVIDER", "")
    if not provider:
        return None

    overrides = {
        "MODEL": environment.get("FALLBACK_MODEL", ""),
        "DESCRIBER_OPTIONS": environment.get("FALLBACK_OPTIONS", ""),
    }
    try:
        return load(provider, Setup.from_env({**environment, **overrides}))
    except DescribeError as error:
        log.error("fallback %s can't work: %s: %s", provider, error.reason, error.message)  # noqa: TRY400
        return None


def fallback_applies(
    error: DescribeError, options: Options, *, attempt: int, max_attempts: int
) -> bool:
    """Return whether the fallback should describe this image.

    If another attempt may succeed, the fallback is used only on the last attempt. Otherwise, it is
    used immediately, for example if a library or model is missing in the worker's image.

    Args:
        error: The describer's error.
        options: The image's options; `fallback: never` rules out a fallback.
        attempt: Number of the current attempt, starting at 1.
        max_attempts: The ImageJob's maximum number of attempts.
    """
    if options.fallback == "never":
        return False

    if isinstance(error, DescriberBrokenError):
        may_pass = error.may_pass
    elif error.reason in OUTAGES:
        may_pass = error.reason.retryable
    else:
        return False

    return attempt >= max_attempts or not may_pass


def mark_as_fallback(
    description: Description, *, instead_of: str, error: DescribeError
) -> Description:
    """Add the name of the replaced describer, and the reason, to the fallback's description."""
    fallback = Fallback(from_=instead_of, reason=error.reason)
    return description.model_copy(update={"fallback": fallback})
