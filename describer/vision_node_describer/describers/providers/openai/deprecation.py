"""Warn about models that will be shut down, as announced publicly or in a provider's responses."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from ...remote.retry_after import parse_http_date
from ...remote.sanitize import one_line

_RETIREMENT_DATES = {"gpt-4o-mini": date(2027, 1, 14)}
"""Shutdown dates that OpenAI has reportedly announced. They also apply to snapshots of a model."""

_ADVICE = "set OPENAI_VISION_MODEL, or the Describer's model, to another model"

_MAX_DATE_CHARACTERS = 40


def published_retirement(model: str) -> str | None:
    """Return a warning if OpenAI's shutdown date for the model is known; otherwise None."""
    for name, day in _RETIREMENT_DATES.items():
        if model == name or model.startswith(f"{name}-20"):
            return f"the model {model} will reportedly be shut down on {day}: {_ADVICE}"
    return None


def announced_retirement(model: str, headers: Mapping[str, str]) -> str | None:
    """Return a warning if a response's headers announce a shutdown (RFC 9745, RFC 8594)."""
    deprecation, sunset = headers.get("deprecation"), headers.get("sunset")
    if not deprecation and not sunset:
        return None

    end = parse_http_date(sunset) if sunset else None
    when = (
        f"will be shut down on {end:%Y-%m-%d}" if end else f"is deprecated ({_since(deprecation)})"
    )

    return f"the provider says that {model} {when}: {_ADVICE}"


def _since(value: str | None) -> str:
    text = one_line(value or "", _MAX_DATE_CHARACTERS)
    if text.startswith("@") and text[1:].isdigit() and len(text) <= 12:
        return f"since {datetime.fromtimestamp(int(text[1:]), UTC):%Y-%m-%d}"
    return text or "no date given"
