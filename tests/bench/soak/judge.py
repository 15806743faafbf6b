"""Compare the results of a soak test with the bars."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bench.soak import flatness
from bench.soak.flatness import ETCD_CYCLE_SECONDS, MEGABYTE, MEMORY_CYCLE_SECONDS, Point, Window
from bench.soak.results import AT_START, COMPACTED, COMPONENTS, Reading, Soak

SAMPLES_SHARE = 0.05
"""Share of readings that may fail. With more, the curves have gaps that could hide a rise."""

ETCD_SLACK_BYTES = 4 * MEGABYTE
"""How much larger etcd's compacted database may be at the end than at the start. Events and Leases
of the cluster need less, and about 2,000 ImageJobs left behind would need more."""

NOT_JUDGED = frozenset({"etcd", "postgres"})
"""Components whose memory is only shown. That of etcd follows the size of its file, which grows
until it has room for everything that is written between two compactions; its database is judged.
That of PostgreSQL is limited by its settings, and it uses more of it when there is more to read."""

MAX_LAG_SECONDS = 30.0
"""How old a finished ImageJob may become before it is archived. Usually, it takes less than 2 s."""

MIN_USED_SECONDS = 60.0
"""Minimum length of what remains of the window without one cycle."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar and the measured value."""

    title: str
    measured: str
    limit: str
    reached: bool | None
    """None if the test was too short to tell."""
    sentence: str
    """What to print if the bar is missed."""


def judge(soak: Soak) -> list[Bar]:
    """Return all bars with the measured values."""
    return [
        *_images(soak),
        *_history(soak),
        *_left(soak),
        *(_memory(soak, component) for component in COMPONENTS),
        _etcd_in_use(soak),
        _etcd_at_end(soak),
        *_measurement(soak),
    ]


def window_of(soak: Soak) -> Window | None:
    """Return the window in which curves are judged, or None if the test was too short."""
    return flatness.judged_window(soak.load_seconds, soak.imagejob_seconds)


def curve(soak: Soak, value: Callable[[Reading], float | None]) -> list[Point]:
    """Return a curve of all samples that have the value."""
    points = ((sample.seconds, value(sample.reading)) for sample in soak.samples)
    return [(seconds, found) for seconds, found in points if found is not None]


def memory_curve(soak: Soak, component: str) -> list[Point]:
    """Return a component's memory that no file backs."""
    return curve(soak, lambda reading: reading.memory.get(component))


def _images(soak: Soak) -> Iterator[Bar]:
    tally = soak.tally
    undone = soak.images - tally.done
    yield Bar(
        "images that no client saw done",
        f"{undone:,} of {soak.images:,}",
        "0",
        undone == 0,
        f"{undone:,} of {soak.images:,} images were not seen done: {tally.refused:,} not accepted, "
        f"{tally.failed:,} failed, {tally.lost:,} lost, {tally.unfinished:,} not finished in time",
    )
    yield Bar(
        "wrong results",
        f"{tally.results_wrong:,} of {tally.results_checked:,}",
        "0",
        tally.results_wrong == 0 and tally.results_checked > 0,
        f"{tally.results_wrong:,} of {tally.results_checked:,} checked results are missing or are "
        "not from this project",
    )


def _left(soak: Soak) -> Iterator[Bar]:
    """Yield the bars for what must be gone at the end."""
    last = soak.samples[-1].reading if soak.samples else None
    beyond = f"beyond the {soak.workers} warm workers"
    counts: list[tuple[str, int | None]] = [
        ("ImageJobs", last.imagejobs if last else None),
        (f"describer Jobs {beyond}", max(0, last.jobs - soak.workers) if last else None),
        (f"workers' pods {beyond}", max(0, last.pods - soak.workers) if last else None),
        ("objects below images/ and results/", last.objects if last else None),
    ]

    for title, count in counts:
        sentence = f"{title} are left at the end: {_or_unknown(count)}"
        yield Bar(f"left: {title}", _or_unknown(count), "0", count == 0, sentence)


def _history(soak: Soak) -> Iterator[Bar]:
    """Yield the bars for what must be in the history, and be found, at the end."""
    found = soak.found
    acknowledged = soak.tally.acknowledged
    counts: list[tuple[str, int | None, int]] = [
        ("acknowledged jobs that PostgreSQL does not have", None, 0),
        ("evicted jobs whose status is not `done`", None, 0),
        ("images that a search for their word does not find", None, 0),
    ]
    if found:
        # Jobs beyond those that look_for() knows would be missing, too.
        missing = found.missing + max(0, acknowledged - found.acknowledged)
        numbers = (
            (missing, found.acknowledged),
            (found.statuses_wrong, found.statuses),
            (found.searches_wrong, found.searches),
        )
        counts = [(it[0], *each) for it, each in zip(counts, numbers, strict=True)]

    for title, wrong, total in counts:
        measured = "not measured" if wrong is None else f"{wrong:,} of {total:,}"
        yield Bar(title, measured, "0", wrong == 0 and total > 0, f"{title}: {measured}")

    yield _lag(soak)


def _lag(soak: Soak) -> Bar:
    title = "age of the oldest finished ImageJob that is not archived: maximum"
    lags = [it.reading.lag_seconds for it in soak.samples if it.reading.lag_seconds is not None]
    if not lags:
        return Bar(title, "not measured", "", reached=False, sentence=f"{title}: not measured")

    measured, limit = f"{max(lags):.1f} s", f"{MAX_LAG_SECONDS:g} s"
    sentence = f"{title} {measured}, at most {limit} is allowed"
    return Bar(title, measured, f"≤ {limit}", max(lags) <= MAX_LAG_SECONDS, sentence)


def _or_unknown(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _memory(soak: Soak, component: str) -> Bar:
    window = window_of(soak)
    title = f"memory of {component}: rise"
    if window is None or window.seconds < MEMORY_CYCLE_SECONDS + MIN_USED_SECONDS:
        return _too_short(title)

    points = flatness.steady(memory_curve(soak, component), window)
    bar = _flat(title, flatness.lows(points, MEMORY_CYCLE_SECONDS), window)
    return replace(bar, limit="not judged", reached=None) if component in NOT_JUDGED else bar


def _etcd_in_use(soak: Soak) -> Bar:
    window = window_of(soak)
    title = "etcd's database in use, between equal moments of its compaction cycle: rise"
    if window is None or window.seconds < ETCD_CYCLE_SECONDS + MIN_USED_SECONDS:
        return _too_short(title)

    points = flatness.steady(curve(soak, lambda reading: reading.etcd.in_use_bytes), window)
    return _flat(title, points, window, ETCD_CYCLE_SECONDS)


def _flat(title: str, points: list[Point], window: Window, season_seconds: float = 0.0) -> Bar:
    minutes = f"between minute {window.start / 60:.0f} and {window.end / 60:.0f}"
    if len(points) < 2:
        return Bar(
            title, "not measured", "", reached=False, sentence=f"{title}: not measured {minutes}"
        )

    rise = flatness.rise(points, window.seconds, season_seconds)
    allowed = flatness.allowed(points)
    return Bar(
        title,
        megabytes(rise),
        f"≤ {megabytes(allowed)}",
        rise <= allowed,
        f"{title} of {megabytes(rise)} {minutes}, at most {megabytes(allowed)} is allowed",
    )


def _too_short(title: str) -> Bar:
    return Bar(title, "too short", "", None, "")


def _etcd_at_end(soak: Soak) -> Bar:
    title = "etcd's database in use when all is evicted, compacted: more than at the start"
    if AT_START not in soak.etcd or COMPACTED not in soak.etcd:
        return Bar(title, "not measured", "", reached=False, sentence=f"{title}: not measured")

    more = soak.etcd[COMPACTED].in_use_bytes - soak.etcd[AT_START].in_use_bytes
    limit = megabytes(ETCD_SLACK_BYTES)
    sentence = f"{title} by {megabytes(more)}, at most {limit} is allowed"
    return Bar(title, megabytes(more), f"≤ {limit}", more <= ETCD_SLACK_BYTES, sentence)


def _measurement(soak: Soak) -> Iterator[Bar]:
    """Yield the bars without which flat curves would prove nothing."""
    counts = [sample.reading.replaced for sample in soak.samples] or [0]
    replaced = max(counts) - counts[0]
    yield Bar(
        "containers that were restarted or replaced",
        f"{replaced}",
        "0",
        replaced == 0,
        f"{replaced} containers were restarted or replaced, which resets their memory: see "
        "`kubectl get pods` and `kubectl logs --previous`",
    )

    failed, total = soak.failed_samples, soak.failed_samples + len(soak.samples)
    limit = int(total * SAMPLES_SHARE)
    yield Bar(
        "samples that could not be read",
        f"{failed} of {total}",
        f"≤ {limit}",
        total > 0 and failed <= limit,
        f"{failed} of {total} samples could not be read, at most {limit} is allowed",
    )


def megabytes(value: float) -> str:
    """Format a number of bytes."""
    return f"{value / MEGABYTE:.1f} MB"
