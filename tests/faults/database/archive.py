"""Check that PostgreSQL has what the run's finished ImageJobs have left."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vision_node_contract.json_types import Json

from faults.history import TERMINAL, History, Observation

CATCH_UP_SECONDS = 60.0
"""Maximum time from the last fault until all ImageJobs that ended are archived."""

LAG_SECONDS = 5.0
"""Age of an ended ImageJob from which it must be archived."""

MIN_EVICTED = 100
"""Minimum number of evictions in a run. With fewer, the run would hardly test them."""


@dataclass(frozen=True, slots=True)
class Row:
    """What PostgreSQL has of an ImageJob."""

    uid: str
    name: str
    phase: str | None
    has_image_row: bool
    has_job_row: bool
    evicted: bool
    image_key: str | None
    result_key: str | None
    archive_error: str | None


@dataclass
class Archive:
    """What the run has left in PostgreSQL and in etcd."""

    live: Mapping[str, str] = field(default_factory=dict)
    """Name of each ImageJob in etcd by uid. It was read before the rows."""
    rows: list[Row] = field(default_factory=list)
    older: frozenset[str] = frozenset()
    """Uids of the ImageJobs that existed, or had rows, before the run."""
    statuses: Mapping[str, Json | str] = field(default_factory=dict)
    """Response of GET /status by ImageJob name. A string is the text of an error response."""
    batch_rows: Mapping[str, int] = field(default_factory=dict)
    """Number of archived images by name of the ImageBatch."""
    batch_images: Mapping[str, int] = field(default_factory=dict)
    """Number of images by name of the ImageBatch."""
    archived_after: float = 0.0
    """Time from the last fault until no ImageJob that ended LAG_SECONDS ago lacked a row."""
    finished_left: int = 0
    """Number of finished ImageJobs in etcd when evictions were given time to go on."""
    max_finished: int = 100
    """The archiver's limit of finished ImageJobs in etcd."""

    @property
    def uids(self) -> frozenset[str]:
        """Uids of the ImageJobs that have a row."""
        return frozenset(row.uid for row in self.rows)

    def lost(self, evicted: frozenset[str], copied: frozenset[str]) -> frozenset[str]:
        """Return the uids of the ImageJobs that neither etcd nor PostgreSQL has anymore.

        Args:
            evicted: Uids of the jobs that only PostgreSQL had before it was restored.
            copied: Uids of the jobs in the copy from which it was restored.
        """
        return evicted - copied - self.live.keys() - self.uids


def rows_of(printed: list[Json]) -> list[Row]:
    """Return the rows that READ_ROWS has printed."""
    return [Row(**row) for row in printed]


def check_archive(history: History, archive: Archive) -> list[str]:
    """Return a message for each broken promise, or an empty list if all promises were kept."""
    jobs = history.by_job()
    last = [seen[-1] for seen in jobs.values() if seen[-1].uid not in history.lost]
    known = archive.older | {it.uid for it in history.observations}
    new = [row for row in archive.rows if row.uid not in archive.older]

    return [
        *_one_uid(jobs, archive),
        *(broken for seen in last for broken in _kept(seen, archive)),
        *(broken for seen in last for broken in _status(seen, archive)),
        *(f"{row.name}: its row is of no known ImageJob" for row in new if row.uid not in known),
        *(broken for row in new for broken in _row(row, history.objects)),
        *_batches(archive),
        *_progress(archive),
    ]


def _one_uid(jobs: Mapping[str, list[Observation]], archive: Archive) -> Iterator[str]:
    uids: dict[str, set[str]] = defaultdict(set)
    for name, observations in jobs.items():
        uids[name].update(it.uid for it in observations)
    for uid, name in [*archive.live.items(), *((row.uid, row.name) for row in archive.rows)]:
        if uid not in archive.older:
            uids[name].add(uid)

    for name, found in uids.items():
        if len(found) > 1:
            yield f"{name}: doubled: it had the uids {', '.join(sorted(found))}"


def _kept(last: Observation, archive: Archive) -> Iterator[str]:
    """Check that an ImageJob is in etcd or in PostgreSQL, and that a finished one is archived."""
    row = next((it for it in archive.rows if it.uid == last.uid), None)
    if row is None:
        if last.uid not in archive.live:
            yield f"{last.job}: lost: neither etcd nor PostgreSQL has it"
        elif last.ended:
            yield f"{last.job}: it ended, but it is not archived"
        return

    if not row.has_image_row or not row.has_job_row:
        missing = "jobs" if row.has_image_row else "images"
        yield f"{last.job}: it has no row in the table {missing}"
    if row.has_image_row and row.phase != last.status["phase"]:
        yield f"{last.job}: its row has the phase {row.phase}, not {last.status['phase']}"
    if not row.evicted and last.uid not in archive.live:
        yield f"{last.job}: its ImageJob is gone, but it is not marked as evicted"


def _status(last: Observation, archive: Archive) -> Iterator[str]:
    found = archive.statuses.get(last.job, "it was not requested")
    if isinstance(found, str):
        yield f"{last.job}: its status can't be read: {found}"
    elif found.get("status") != last.status["phase"]:
        yield f"{last.job}: its status is {found.get('status')}, not {last.status['phase']}"


def _row(row: Row, objects: frozenset[str]) -> Iterator[str]:
    if row.archive_error:
        yield f"{row.name}: its row was refused: {row.archive_error}"

    for key in (row.image_key, row.result_key):
        if key and key not in objects:
            yield f"{row.name}: its row names {key}, which is gone"


def _batches(archive: Archive) -> Iterator[str]:
    for name, images in archive.batch_images.items():
        rows = archive.batch_rows.get(name, 0)
        if rows != images:
            yield f"{name}: {rows} of its {images} images are archived"


def _progress(archive: Archive) -> Iterator[str]:
    """Check that archiving caught up, and that evictions happened and went on at the end."""
    if archive.archived_after > CATCH_UP_SECONDS:
        yield f"archiving caught up only {archive.archived_after:.0f} s after the last fault"

    evicted = [row for row in archive.rows if row.evicted and row.uid not in archive.older]
    if len(evicted) < MIN_EVICTED:
        yield f"only {len(evicted)} ImageJobs were evicted, so the run has tested little"
    if archive.finished_left > archive.max_finished:
        yield (
            f"evictions stopped: etcd still has {archive.finished_left} finished ImageJobs, "
            f"but the limit is {archive.max_finished}"
        )


def unarchived(observations: list[Observation], known: set[str], now: float) -> set[str]:
    """Return the uids of ImageJobs that ended LAG_SECONDS ago and are not in `known`."""
    ended = {it.uid for it in observations if it.ended and it.at < now - LAG_SECONDS}
    return ended - known


def finished(items: list[Json]) -> int:
    """Return how many of these ImageJobs are finished."""
    return sum(body.get("status", {}).get("phase") in TERMINAL for body in items)
