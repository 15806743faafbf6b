"""Write the report about the describer `local`.

The figures are written to build/bench/local.md and, with WRITE=1, also to the describer's page in
docs/. The pictures and their descriptions are in build/bench/local.html.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import stats
from bench.local import cost, gallery, quality
from bench.local.cost import Cost
from bench.local.judge import Judged, Score, Share, score, worst
from bench.local.truth import Group
from bench.measure.local_measure import TIMES
from bench.measure.machine import processor
from bench.report.generated_section import replace_section
from bench.report.page import MARKS
from bench.report.tables import Row, digits, table

MAX_SECONDS, MAX_SECONDS_BEYOND = 0.25, 0.15
"""Target, and more ambitious target, for the median time in seconds per photograph."""

MAX_MEGABYTES, MAX_MEGABYTES_BEYOND = 400.0, 300.0
"""Target, and more ambitious target, for the peak memory with a `concurrency` of 2."""

MAX_START_SECONDS = 2.5
"""Target for the median time between the start of a process and its first description."""

MIN_SCALING = 1.8
"""Target for the throughput of two processes, divided by that of one."""

MAX_WRONG, MIN_COVERED, MAX_INVENTED = 3.0, 70.0, 2.0
"""Targets in percent."""

WORST = 10
"""Number of pictures in the list of the worst descriptions."""

MAX_SAID_CHARACTERS = 160


def measure(repository: Path, *, to_docs: bool) -> Path:
    """Measure, write the results, and return the path of the report. This takes minutes."""
    judged = quality.measure(quality.samples())
    text = figures(judged, cost.measure())

    build = repository / "build" / "bench"
    build.mkdir(parents=True, exist_ok=True)
    (build / "local.md").write_text(text)
    (build / "local.html").write_text(gallery.page(judged))
    if not to_docs:
        return build / "local.html"

    page = repository / "docs" / "describers" / "local.md"
    replace_section(page, "bench-local", text)
    return page


def figures(judged: Sequence[Judged], found: Cost) -> str:
    """Return the results as Markdown."""
    parts = [_quality(judged), _cost(found), _worst(judged), f"Measured on {processor()}."]
    return "\n\n".join(parts) + "\n"


def _quality(judged: Sequence[Judged]) -> str:
    held_out = [one for one in judged if one.sample.held_out]
    others = [one for one in judged if not one.sample.held_out]
    scores = [score(judged), score(others), score(held_out)]

    def row(title: str, share: Callable[[Score], Share], target: str = "") -> Row:
        return (title, *(_percent(share(one)) for one in scores), target)

    first = scores[0]
    rows = [
        row(
            "wrong statements",
            lambda one: one.wrong,
            _at_most(first.wrong.percent, MAX_WRONG),
        ),
        row(
            "photographs with a right and specific statement",
            lambda one: one.covered,
            f"{_mark(first.covered.percent >= MIN_COVERED)} ≥ {MIN_COVERED:g}",
        ),
        row(
            "other pictures with an invented object",
            lambda one: one.invented,
            _at_most(first.invented.percent, MAX_INVENTED),
        ),
        row("wrong statements among those that name something", lambda one: one.wrong_subjects),
        row("wrong tags among those that name something", lambda one: one.wrong_tags),
        row("altered photographs with a right and specific statement", _covered_altered),
        row("photographs in which nothing is named", lambda one: one.silent),
        row("right kinds of pictures", lambda one: one.kinds),
    ]

    columns = ("", "all", "seen", "held out", "target")
    return f"{_explanation(judged)}\n\n{table(columns, rows)}"


def _explanation(judged: Sequence[Judged]) -> str:
    numbers = {group: sum(one.sample.group is group for one in judged) for group in Group}
    return (
        f"Percentages for {numbers[Group.PHOTOGRAPH]} photographs, {numbers[Group.ALTERED]} "
        "altered photographs (dark, blurred, turned, tiny and so on) and "
        f"{numbers[Group.OTHER]} other pictures (charts, screenshots, pages, drawings, textures). "
        "A statement is a named thing with its number, a kind of picture, or “outdoors”. "
        "A third of the pictures is held out: these were not used to choose thresholds."
    )


def _covered_altered(one: Score) -> Share:
    return one.covered_altered


def _percent(share: Share) -> str:
    return f"{share.percent:.1f} ({share.part} of {share.whole})"


def _at_most(value: float, target: float) -> str:
    return f"{_mark(value <= target)} ≤ {target:g}"


def _mark(reached: bool) -> str:  # noqa: FBT001
    return MARKS["reached" if reached else "missed"]


def _cost(found: Cost) -> str:
    local, metadata = found.one["local"], found.one["metadata"]
    starts = {name: stats.percentile(values, 0.5) for name, values in found.starts.items()}
    p50 = stats.percentile(local.seconds, 0.5)
    peak = found.two.peak_bytes / 1e6

    rows = [
        ("seconds, p50", digits(p50), _below(p50, MAX_SECONDS, MAX_SECONDS_BEYOND)),
        ("seconds, p95", digits(stats.percentile(local.seconds, 0.95)), ""),
        (
            "peak memory with two photographs at a time, MB",
            digits(peak),
            _below(peak, MAX_MEGABYTES, MAX_MEGABYTES_BEYOND),
        ),
        ("memory after the first photograph, MB", digits(local.first_bytes / 1e6), ""),
        (
            "seconds from the start of a process to its first description, p50",
            digits(starts["local"]),
            _at_most(starts["local"], MAX_START_SECONDS),
        ),
        *_throughput(found),
        _threads(found),
        ("`metadata`: seconds, p50", digits(stats.percentile(metadata.seconds, 0.5)), ""),
        ("`metadata`: peak memory, MB", digits(metadata.peak_bytes / 1e6), ""),
        (
            "`metadata`: seconds from the start of a process to its first description, p50",
            digits(starts["metadata"]),
            "",
        ),
        (
            "`metadata`: loaded libraries of `local`",
            ", ".join(metadata.loaded) or "none",
            f"{_mark(not metadata.loaded)} none",
        ),
    ]

    head = (
        f"Cost for JPEG photographs of 1920×1080 pixels, described {TIMES} times. Each process "
        "had one core, except with two photographs at a time."
    )
    return f"{head}\n\n{table(('', 'measured', 'target (beyond)'), rows)}"


def _below(value: float, target: float, beyond: float) -> str:
    outcome = "beyond" if value <= beyond else "reached" if value <= target else "missed"
    return f"{MARKS[outcome]} ≤ {target:g} ({beyond:g})"


def _throughput(found: Cost) -> list[Row]:
    rows: list[Row] = []
    for processes, value in found.throughput.items():
        scaling = value.per_second / found.throughput[1].per_second
        target = f"{_mark(scaling >= MIN_SCALING)} ≥ {MIN_SCALING:g} times as many"
        number = f"{processes} process{'es' if processes > 1 else ''}"
        rows += [
            (
                f"photographs per second, {number}",
                digits(value.per_second),
                target if processes > 1 else "",
            ),
            (f"CPU seconds per photograph, {number}", digits(value.cpu_seconds), ""),
        ]
    return rows


def _threads(found: Cost) -> Row:
    """Return the number of threads. Libraries must not add one for each of the node's cores."""
    # The main thread, and the two threads that describe photographs.
    expected = 3
    title = f"threads with two photographs at a time, on {os.cpu_count()} cores"
    return (title, str(found.two.threads), _at_most(found.two.threads, expected))


def _worst(judged: Sequence[Judged]) -> str:
    rows = [
        (
            _shortened(one.sample.name) + " (held out)" * one.sample.held_out,
            _shortened(one.said),
            ", ".join(statement.name for statement in one.wrong) or "nothing specific",
        )
        for one in worst(judged, WORST)
    ]
    head = f"The {len(rows)} worst descriptions:"
    return f"{head}\n\n{table(('picture', 'caption', 'wrong'), rows)}"


def _shortened(said: str) -> str:
    line = " ".join(said.replace("|", "\\|").split())
    return line if len(line) <= MAX_SAID_CHARACTERS else f"{line[:MAX_SAID_CHARACTERS]}…"
