"""Tells when a provider will shut a model down: by what its answers announce, or by what it has published."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from ...remote.retry_after import http_date
from ...remote.sanitize import one_line

_PUBLISHED = {"gpt-4o-mini": date(2027, 1, 14)}
"""By the name that a model's snapshots begin with too; as OpenAI is reported to have announced it."""

_ADVICE = "set OPENAI_VISION_MODEL, or the Describer's model, to another"


def published(model: str) -> str | None:
    """Return a warning for one of OpenAI's models whose end is known."""
    for name, day in _PUBLISHED.items():
        if model == name or model.startswith(f"{name}-20"):
            return f"the model {model} is reported to be shut down on {day}: {_ADVICE}"
    return None


def announced(model: str, headers: Mapping[str, str]) -> str | None:
    """Return a warning if an answer's headers say that its resource will go (RFC 9745 and RFC 8594)."""
    deprecation, sunset = headers.get("deprecation"), headers.get("sunset")
    if not deprecation and not sunset:
        return None

    end = http_date(sunset) if sunset else None
    when = (
        f"will be shut down on {end:%Y-%m-%d}" if end else f"is deprecated ({_since(deprecation)})"
    )

    return f"the provider says that {model} {when}: {_ADVICE}"


def _since(value: str | None) -> str:
    text = one_line(value or "", 40)
    if text.startswith("@") and text[1:].isdigit() and len(text) <= 12:
        return f"since {datetime.fromtimestamp(int(text[1:]), UTC):%Y-%m-%d}"
    return text or "no date given"
