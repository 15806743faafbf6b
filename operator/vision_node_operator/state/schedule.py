"""Keep names in the order of a time, such as the time at which an ImageJob expires."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

Place = tuple[datetime, str]
"""A place in a list that is sorted by time: a time and a name."""


@dataclass
class Schedule:
    """Names with a time each, in the order of their times."""

    _times: dict[str, datetime] = field(default_factory=dict)
    _places: list[Place] = field(default_factory=list)

    def add(self, name: str, when: datetime) -> None:
        """Add a name that is not in the schedule."""
        self._times[name] = when
        insort(self._places, (when, name))

    def remove(self, name: str) -> None:
        """Remove a name. If it is not in the schedule, do nothing."""
        when = self._times.pop(name, None)
        if when is not None:
            remove_place(self._places, (when, name))

    def postpone(self, name: str, until: datetime) -> None:
        """Move a name to a later time. If it is not in the schedule, do nothing."""
        when = self._times.get(name)
        if when is not None and when < until:
            self.remove(name)
            self.add(name, until)

    def first(self) -> datetime | None:
        """Return the earliest time; None if there are no names."""
        return self._places[0][0] if self._places else None

    def due(self, now: datetime) -> Iterator[str]:
        """Yield the names whose time has come, ordered by their times."""
        for when, name in self._places:
            if when > now:
                return
            yield name


def remove_place(places: list[Place], place: Place) -> None:
    """Remove a place from a sorted list that contains it."""
    del places[bisect_left(places, place)]
