"""What may be said about a picture."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HELD_OUT_SHARE = 3
"""One in this many pictures is held out."""

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
    """Names that are right and specific. A description should contain at least one of them."""
    may: frozenset[str] = frozenset()
    """Other names that are right. All broader names are right, too."""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Lowest and highest right number of things, by name."""
    outdoors: bool | None = None
    """Whether the picture was taken outdoors; None if a person could not tell."""

    @property
    def names(self) -> frozenset[str]:
        """All names that are right, except for broader names."""
        return self.must | self.may

    def count(self, name: str) -> tuple[int, int]:
        """Return the lowest and highest right number of these things."""
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
        """Whether the picture is held out, so that no threshold is tuned with it.

        The choice depends on the name, so it is arbitrary but stable. An altered photograph has a
        name that ends with the name of its original, and is held out if the original is.
        """
        name = self.name.partition(": ")[2] if self.group is Group.ALTERED else self.name
        return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT_SHARE == 0
