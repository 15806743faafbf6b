"""What may be said about a picture."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HELD_OUT_SHARE = 3
"""One of so many pictures is held out."""

GENERIC = frozenset(
    {
        *("animal", "object", "thing", "vehicle", "food", "drink", "dish of food", "device"),
        *("structure", "building or structure", "piece of clothing", "piece of furniture"),
        *("electronic device", "household appliance", "tool", "weapon", "toy", "landscape"),
        *("musical instrument", "plant"),
    }
)
"""Names that are too broad to be specific."""


class Group(StrEnum):
    """The groups for which separate targets apply."""

    PHOTOGRAPH = "photograph"
    ALTERED = "altered photograph"
    """A photograph that was made difficult, for example darkened or blurred."""
    OTHER = "no photograph"


@dataclass(frozen=True, slots=True)
class Truth:
    """What a person who looks at the picture accepts as right."""

    kinds: frozenset[str] = frozenset({"photograph"})
    must: frozenset[str] = frozenset()
    """Names that are right and specific. At least one has to be said."""
    may: frozenset[str] = frozenset()
    """Other names that are right. So are all broader names."""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The lowest and highest number that is right, by name."""
    outdoors: bool | None = None
    """None if a person could not tell."""

    @property
    def names(self) -> frozenset[str]:
        """All names that are right, without broader ones."""
        return self.must | self.may

    def count(self, name: str) -> tuple[int, int]:
        """Return the lowest and highest number of these things that is right."""
        return self.counts.get(name, (1, 1))


@dataclass(frozen=True, slots=True)
class Sample:
    """A labeled picture."""

    name: str
    group: Group
    truth: Truth
    load: Callable[[], bytes]
    """Returns the content of the image file."""

    @property
    def held_out(self) -> bool:
        """Whether the picture is kept aside: nobody tunes a threshold with it.

        The name decides, so that the choice is arbitrary but stable. An altered photograph is held
        out with its original, whose name is the end of its own.
        """
        name = self.name.partition(": ")[2] if self.group is Group.ALTERED else self.name
        return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT_SHARE == 0
