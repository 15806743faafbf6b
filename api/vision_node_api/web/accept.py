"""Choose the media type of a response by the header Accept (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Iterator, Sequence

_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", re.ASCII | re.IGNORECASE)


def choose_media_type(accept: str, offers: Sequence[str]) -> str:
    """Return the offer that the client prefers.

    Return the first offer if the client has no preference, or accepts none of them: a response that
    can be read is more helpful than a refusal.

    Args:
        accept: The value of the header; empty if there is none.
        offers: Media types in lowercase, without parameters.
    """
    ranges = list(_ranges(accept))
    return max(offers, key=lambda offer: _quality(offer, ranges))


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the media ranges of the header and their qualities. Invalid qualities count as 0."""
    for item in accept.split(","):
        name, *parameters = item.split(";")
        qualities = [it for it in parameters if it.strip().lower().startswith("q")]
        match = _QUALITY.fullmatch(qualities[0]) if qualities else None
        yield name.strip().lower(), float(match[1]) if match else float(not qualities)


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the quality of the most specific range that matches."""
    for pattern in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in ranges if name == pattern]
        if found:
            return max(found)

    return 0.0
