"""Decide when a fallback describes an image, and mark its description as a fallback's."""

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
"""Reasons for which a fallback helps; it also helps after a DescriberBrokenError. It does not help
with an unreadable image, which the fallback can't read either; with a wrong key or model, which the
fallback would hide from those who must correct it; or with a refusal, which is an answer."""


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
    """Return whether the fallback describes this image.

    It does so only on the last attempt, because an outage may pass. If the error can't pass, as
    when a library or model is missing in the worker's image, it does so immediately.

    Args:
        error: Why the describer failed.
        options: The image's options; `fallback: never` rules out a fallback.
        attempt: Number of the current attempt, from 1.
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
    """Return the fallback's description, with the describer that it replaces and the reason."""
    fallback = Fallback(from_=instead_of, reason=error.reason)
    return description.model_copy(update={"fallback": fallback})
