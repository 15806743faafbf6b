"""Sets of indexes as text, such as `0-411,413`, like an Indexed Job's `completedIndexes`."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

MAX_DIGITS = 9
"""Maximum number of digits of an index, as in the keys of a batch's objects. Texts may come from
workers, and reading a number of thousands of digits takes long or fails."""


class Range(NamedTuple):
    """The indexes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """Number of indexes."""
        return self.last - self.first + 1

    def overlaps(self, other: "Range") -> bool:
        """Return whether the ranges have an index in common."""
        return self.first <= other.last and other.first <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def parse_ranges(text: str) -> list[Range]:
    """Return the ranges in the text, in its order. Adjacent ranges stay separate.

    Raises:
        ValueError: The text is not a list of ranges.
    """
    ranges = []
    for part in text.split(",") if text else []:
        first, dash, last = part.partition("-")
        found = Range(_index(first), _index(last if dash else first))
        if found.last < found.first:
            raise ValueError(f"{part!r} is not a range: the end is before the start")
        ranges.append(found)

    return ranges


def _index(text: str) -> int:
    if len(text) > MAX_DIGITS or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text[:20]!r} is not an index of at most {MAX_DIGITS} digits")

    return int(text)


def format_ranges(ranges: Iterable[Range]) -> str:
    """Return the ranges as text, in their order."""
    return ",".join(map(str, ranges))


class RangeSet:
    """An immutable set of indexes, stored as sorted ranges with gaps between them."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[Range] = []
        for first, last in sorted(ranges):
            if merged and first <= merged[-1].last + 1:
                merged[-1] = Range(merged[-1].first, max(merged[-1].last, last))
            else:
                merged.append(Range(first, last))

        self.ranges: tuple[Range, ...] = tuple(merged)
        """The ranges in ascending order."""
        self._firsts = [it.first for it in merged]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a set such as `0-411,413`.

        Raises:
            ValueError: The text is not a list of ranges.
        """
        return cls(parse_ranges(text))

    @classmethod
    def of(cls, indexes: Iterable[int]) -> Self:
        """Return the set of these indexes."""
        return cls((index, index) for index in indexes)

    def __str__(self) -> str:
        return format_ranges(self.ranges)

    def __repr__(self) -> str:
        return f"RangeSet({str(self)!r})"

    def __len__(self) -> int:
        return sum(it.size for it in self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __contains__(self, index: int) -> bool:
        return self.overlaps(Range(index, index))

    def __iter__(self) -> Iterator[int]:
        return (index for it in self.ranges for index in range(it.first, it.last + 1))

    def overlaps(self, wanted: Range) -> bool:
        """Return whether the set contains any index of the range."""
        place = bisect_right(self._firsts, wanted.last)
        return place > 0 and self.ranges[place - 1].last >= wanted.first

    def isdisjoint(self, other: "RangeSet") -> bool:
        """Return whether the two sets have no index in common."""
        return not any(self.overlaps(it) for it in other.ranges)

    def issuperset(self, other: "RangeSet") -> bool:
        """Return whether the set contains all indexes of the other set."""
        return not (other - self).ranges

    def __or__(self, other: "RangeSet") -> "RangeSet":
        return RangeSet([*self.ranges, *other.ranges])

    def __sub__(self, other: "RangeSet") -> "RangeSet":
        return RangeSet(piece for it in self.ranges for piece in other.gaps(it))

    def gaps(self, within: Range) -> Iterator[Range]:
        """Yield the ranges within `within` that the set does not contain, in ascending order."""
        start = within.first
        place = max(0, bisect_right(self._firsts, start) - 1)
        for index in range(place, len(self.ranges)):
            it = self.ranges[index]
            if it.first > within.last:
                break
            if it.first > start:
                yield Range(start, it.first - 1)
            start = max(start, it.last + 1)

        if start <= within.last:
            yield Range(start, within.last)
