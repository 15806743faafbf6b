"""Compare the results with the targets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench import stats
from bench.plan import BURST, EIGHT, METADATA, NOTHING, ONE, WAITING
from bench.results import CELERY, JOB_PER_IMAGE, VISION_NODE, Backlog, Run, Sample
from bench.stats import Spread

Direction = Literal["at most", "at least"]
Outcome = Literal["beyond", "reached", "missed", "not measured"]

MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Target:
    """A target and the measured values."""

    title: str
    direction: Direction
    value: float
    beyond: float
    """A more ambitious target, or the same as `value` if there is none."""
    unit: str
    measured: Spread | None

    @property
    def outcome(self) -> Outcome:
        """Result of comparing the median with the target and the more ambitious target."""
        if self.measured is None:
            return "not measured"

        median = self.measured.median
        if self.beyond != self.value and self._reaches(median, self.beyond):
            return "beyond"
        return "reached" if self._reaches(median, self.value) else "missed"

    def _reaches(self, measured: float, limit: float) -> bool:
        return measured <= limit if self.direction == "at most" else measured >= limit


def judge(run: Run | None, backlog: Backlog | None) -> list[Target]:
    """Return all targets with the measured values. Missing results count as not measured."""
    return [*_comparisons(run), *_single_system(run), *_backlog(backlog)]


def _comparisons(run: Run | None) -> list[Target]:
    def celery(load: str, describer: str, value: Callable[[Sample], float]) -> Spread | None:
        return _ratio(run, CELERY, load, describer, value)

    jobs = _ratio(run, JOB_PER_IMAGE, EIGHT, METADATA, stats.throughput)
    nothing = celery(EIGHT, NOTHING, stats.throughput)
    times, burst = "× Celery", burst_size(run)

    return [
        Target(
            "time until done, 1 client, p50",
            "at most",
            1.6,
            1.1,
            times,
            celery(ONE, METADATA, stats.p50),
        ),
        Target(
            "`POST /submit` with `Prefer: wait`, 1 client, p50",
            "at most",
            2,
            2,
            "× Celery, polled",
            _waiting(run),
        ),
        Target(
            "images/s, 8 clients",
            "at least",
            0.6,
            1,
            times,
            celery(EIGHT, METADATA, stats.throughput),
        ),
        Target("images/s, 8 clients", "at least", 15, 15, "× Job per image", jobs),
        Target("images/s, 8 clients, describer `nothing`", "at least", 0.5, 0.8, times, nothing),
        Target(
            f"burst of {burst}: time until all are done",
            "at most",
            1.7,
            1,
            times,
            celery(BURST, METADATA, stats.duration),
        ),
    ]


def _waiting(run: Run | None) -> Spread | None:
    """Return the time of a submission that waits, divided by Celery's until a client saw it."""
    if run is None:
        return None
    ours, theirs = run.select(VISION_NODE, WAITING, METADATA), run.select(CELERY, ONE, METADATA)
    return stats.ratio(ours, theirs, stats.p50)


def burst_size(run: Run | None, describer: str = METADATA) -> int:
    """Return the number of images in the measured bursts, or 500 if none was measured."""
    seen = run.select(VISION_NODE, BURST, describer) if run else []
    return seen[0].images if seen else 500


def _single_system(run: Run | None) -> list[Target]:
    cold = stats.spread(run.cold_seconds) if run else None
    writes = stats.over_rounds(_ours(run), lambda sample: sample.writes / sample.images)
    idle = run.idle_cores if run else {}
    return [
        Target("cold start without workers: time until done", "at most", 4, 3, "s", cold),
        Target("ImageJob writes per image", "at most", 3, 3, "", writes),
        *(
            Target(f"idle {name}", "at most", 1, 1, "% of a core", _single(idle.get(name), 100))
            for name in ("operator", "api", "archiver")
        ),
    ]


def _backlog(backlog: Backlog | None) -> list[Target]:
    many = f"{backlog.large.images if backlog else 10_000:,}"
    few = f"{backlog.small[0].images if backlog else 500:,}"
    pages = (
        stats.spread(1000 * seconds for seconds in backlog.list_page_seconds) if backlog else None
    )
    memory = _single(backlog.operator_peak_bytes if backlog else None, 1 / MEGABYTE)
    title = f"images/s with a backlog of {many}, compared to {few}"

    return [
        Target(title, "at least", 0.9, 1, "×", _slowdown(backlog) if backlog else None),
        Target(f"operator memory with {many} ImageJobs", "at most", 200, 120, "MB", memory),
        Target(f"list page of 50 out of {many} ImageJobs, p50", "at most", 50, 10, "ms", pages),
    ]


def _slowdown(backlog: Backlog) -> Spread | None:
    rate = backlog.large.images_per_second
    return stats.spread(rate / small.images_per_second for small in backlog.small)


def _ours(run: Run | None) -> list[Sample]:
    return run.select(VISION_NODE, EIGHT, METADATA) if run else []


def _ratio(
    run: Run | None, other: str, load: str, describer: str, value: Callable[[Sample], float]
) -> Spread | None:
    if run is None:
        return None
    ours, theirs = (run.select(system, load, describer) for system in (VISION_NODE, other))
    return stats.ratio(ours, theirs, value)


def _single(value: float | None, scale: float) -> Spread | None:
    return None if value is None else stats.spread([value * scale])
