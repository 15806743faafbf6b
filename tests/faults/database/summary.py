"""Summarize what happened to the history during a run, and what PostgreSQL's faults cost."""

from faults.database.archive import Archive
from faults.fault_injection import Injected
from faults.history import History
from faults.plan import DATABASE_KINDS, Kind

Window = tuple[float, float]
"""Start and end of a period of time."""


def archive_summary(history: History, archive: Archive, injected: list[Injected]) -> str:
    """Return a report with figures of the history."""
    evicted = sum(row.evicted for row in archive.rows if row.uid not in archive.older)
    rates = rates_of(history, injected)
    ratio = rates[0] / rates[1] if rates[1] else float("nan")

    return "\n".join(
        [
            f"{len(archive.uids - archive.older)} ImageJobs are archived, {evicted} of them were "
            f"evicted, and {len(history.lost)} were lost because PostgreSQL was restored",
            f"archiving caught up {archive.archived_after:.1f} s after the last fault; "
            f"{archive.finished_left} finished ImageJobs are in etcd",
            f"{rates[0]:.1f} images/s during faults of PostgreSQL, {rates[1]:.1f} at other times: "
            f"a ratio of {ratio:.2f}",
        ]
    )


def rates_of(history: History, injected: list[Injected]) -> tuple[float, float]:
    """Return the images per second that ended during faults of PostgreSQL, and at other times."""
    ends = history.first_ends()
    windows = away(injected)
    inside = sum(start <= at < end for at in ends for start, end in windows)
    seconds = sum(end - start for start, end in windows)
    whole = history.last_fault - min(ends, default=history.last_fault)
    outside = sum(at < history.last_fault for at in ends) - inside
    rest = whole - seconds

    return inside / seconds if seconds else 0.0, outside / rest if rest > 0 else 0.0


def away(injected: list[Injected]) -> list[Window]:
    """Return the periods in which PostgreSQL was away, full or slow. They do not overlap."""
    kinds = DATABASE_KINDS - {Kind.RESTORE_POSTGRES, Kind.KILL_POSTGRES}
    return [(at, at + fault.seconds) for at, fault in injected if fault.kind in kinds]


def none_described_meanwhile(history: History, injected: list[Injected]) -> list[str]:
    """Return a message if no image ended while PostgreSQL was away."""
    during, _ = rates_of(history, injected)
    return [] if during else ["no image ended while PostgreSQL was away"]
