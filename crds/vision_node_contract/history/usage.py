"""What images use: how it is counted for the table usage, and for those that are still in etcd."""

from dataclasses import dataclass, fields
from typing import Self

from ..models.description import Usage

MAX_COUNTED = 10**12
"""Maximum of each number that is counted for one image: a terabyte, or as many tokens. Workers
write these numbers, and their sums must fit into 64 bits."""


@dataclass(slots=True)
class UsageCounts:
    """Sums over images that have ended or are to be described."""

    images: int = 0
    failed: int = 0
    """Number of the images that have failed."""
    bytes: int = 0
    """Size of the images."""
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Number of tokens that providers have charged."""
        return self.input_tokens + self.output_tokens

    def add(self, other: Self, sign: int = 1) -> None:
        """Add other sums to these; with the sign -1, subtract them."""
        self.images += sign * other.images
        self.failed += sign * other.failed
        self.bytes += sign * other.bytes
        self.input_tokens += sign * other.input_tokens
        self.output_tokens += sign * other.output_tokens


COUNTS = tuple(it.name for it in fields(UsageCounts))
"""Names of the numbers, which are also the columns of the table usage."""


def counted(number: object) -> int:
    """Return a number of an image that a worker may have written; 0 if it is not plausible."""
    return number if isinstance(number, int) and 0 <= number <= MAX_COUNTED else 0


def tokens_of(usage: Usage | None) -> tuple[int, int]:
    """Return the numbers of input and output tokens; 0 if they are unknown."""
    return (counted(usage.input_tokens), counted(usage.output_tokens)) if usage else (0, 0)


def tokens_in(usage: object) -> tuple[int, int]:
    """Return the same for the JSON of a result, which may be anything."""
    match usage:
        case {"inputTokens": sent, "outputTokens": received}:
            return counted(sent), counted(received)
        case _:
            return 0, 0
