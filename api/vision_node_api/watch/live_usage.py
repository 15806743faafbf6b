"""What the jobs in etcd use, by owner, so that limits need no look at all jobs."""

import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from vision_node_contract.history.usage import UsageCounts, counted, tokens_in
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import TERMINAL
from vision_node_contract.names import OWNER_LABEL


class _Place(NamedTuple):
    """Where a job is counted."""

    owner: str
    describer: str
    day: date | None
    """The day in UTC on which it has ended; None while it is unfinished."""


class LiveUsage:
    """Sums over ImageJobs, finished ones included, whether their texts are cached or not.

    Each ImageJob takes about 250 bytes.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[_Place, UsageCounts]] = {}
        """What each ImageJob uses, by name."""
        self._sums: dict[tuple[str, date | None], dict[str, UsageCounts]] = {}
        """By owner and day, and then by describer. Sums over no jobs are removed."""

    def __contains__(self, name: str) -> bool:
        return name in self._jobs

    def unfinished(self, owner: str | None) -> UsageCounts:
        """Return the sums over the owner's unfinished jobs; None for all owners."""
        return total_of(self._sums_on(None, owner))

    def ended_on(self, day: date, owner: str | None) -> dict[str, UsageCounts]:
        """Return the sums over jobs that have ended on a day, by describer.

        Args:
            day: The day in UTC.
            owner: The owner; None for all.
        """
        return self._sums_on(day, owner)

    def add(self, name: str, body: Json) -> None:
        """Add an ImageJob, which must not be there yet."""
        place, counts = _place_of(body), _counts_of(body)
        self._jobs[name] = place, counts
        by_describer = self._sums.setdefault((place.owner, place.day), {})
        by_describer.setdefault(place.describer, UsageCounts()).add(counts)

    def remove(self, name: str) -> None:
        """Remove an ImageJob, if it is there."""
        found = self._jobs.pop(name, None)
        if found is None:
            return

        place, counts = found
        by_describer = self._sums[place.owner, place.day]
        sums = by_describer[place.describer]
        sums.add(counts, -1)
        if not sums.images:
            del by_describer[place.describer]
        if not by_describer:
            del self._sums[place.owner, place.day]

    def _sums_on(self, day: date | None, owner: str | None) -> dict[str, UsageCounts]:
        if owner is not None:
            return self._sums.get((owner, day), {})

        found: dict[str, UsageCounts] = {}
        for (_, ended), by_describer in self._sums.items():
            for describer, sums in by_describer.items() if ended == day else ():
                found.setdefault(describer, UsageCounts()).add(sums)

        return found


def total_of(by_describer: Mapping[str, UsageCounts]) -> UsageCounts:
    """Return the sums over all describers."""
    total = UsageCounts()
    for sums in by_describer.values():
        total.add(sums)

    return total


def owner_of(body: Json) -> str:
    """Return the owner of an object; empty if it has none."""
    return sys.intern((body["metadata"].get("labels") or {}).get(OWNER_LABEL, ""))


def _place_of(body: Json) -> _Place:
    describer = _part(body, "spec").get("describer")
    status = _part(body, "status")
    day = _day_of(body, status) if status.get("phase") in TERMINAL else None
    name = sys.intern(describer) if isinstance(describer, str) else ""
    return _Place(owner_of(body), name, day)


def _day_of(body: Json, status: Json) -> date:
    """Return the day on which a job has ended. Workers write the time, so it may be anything."""
    times: tuple[Any, ...] = (
        status.get("completionTime"),
        body["metadata"].get("creationTimestamp"),
    )
    for time in times:
        try:
            return datetime.fromisoformat(time).astimezone(UTC).date()
        except (TypeError, ValueError, OverflowError):
            continue

    return datetime.now(UTC).date()


def _part(body: Json, name: str) -> Json:
    """Return a part of an object; an empty one if another version has something else there."""
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _counts_of(body: Json) -> UsageCounts:
    status, image = _part(body, "status"), _part(_part(body, "spec"), "image")
    sent, received = tokens_in(_part(status, "result").get("usage"))
    return UsageCounts(
        images=1,
        failed=int(status.get("phase") == "failed"),
        bytes=counted(image.get("sizeBytes")),
        input_tokens=sent,
        output_tokens=received,
    )
