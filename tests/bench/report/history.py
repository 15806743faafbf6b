"""Write the report's sections about the history, and compare its results with the targets."""

from collections.abc import Sequence

from bench import stats
from bench.plan import NOTHING, WITH_HISTORY, WITHOUT_HISTORY
from bench.report import costs
from bench.report.tables import digits, number, table
from bench.report.targets import Target
from bench.results import VISION_NODE, HistoryEffect, Run, Sample
from bench.stats import Spread

KEEPERS = ("archiver", "postgres")
"""Components that keep the history."""

USUAL_ROWS = 1_000_000


def judge(run: Run | None, effect: HistoryEffect | None) -> list[Target]:
    """Return the targets of the history. Missing results count as not measured."""
    rows = f"{effect.rows if effect else USUAL_ROWS:,}"
    start = _ratio(effect, "start_seconds", 0.5)
    p50, p95 = (_ratio(effect, "submit_seconds", share) for share in (0.5, 0.95))
    title, none = "PostgreSQL and archiver, CPU time per image", "× without rows"

    return [
        Target(title, "at most", 1.5, 1, "ms", keeping(run)),
        Target(f"operator's start with {rows} rows of history", "at most", 1.2, 1.2, none, start),
        Target(f"submission with {rows} rows, p50", "at most", 1.2, 1.2, none, p50),
        Target(f"submission with {rows} rows, p95", "at most", 1.3, 1.3, none, p95),
    ]


def keeping(run: Run | None) -> Spread | None:
    """Return the CPU time per image of the components that keep the history, in milliseconds.

    Return None unless all of them were measured.
    """
    samples = run.select(VISION_NODE, WITH_HISTORY, NOTHING) if run else []
    measured = [it for it in samples if all(name in it.cpu_seconds for name in KEEPERS)]
    return stats.spread(_keeping(run, it) for it in measured) if run else None


def per_image(run: Run) -> str:
    """Return the section about the CPU time of an image with and without the history."""
    columns = [
        (name, run.select(VISION_NODE, name, NOTHING)) for name in (WITH_HISTORY, WITHOUT_HISTORY)
    ]
    if not any(samples for _, samples in columns):
        return ""

    return "\n\n".join(
        [
            "## What the history costs",
            "CPU-milliseconds per image with 8 clients and the describer `nothing`, minus the use "
            "while the system is idle. With history, ImageJobs are archived in PostgreSQL and "
            "evicted; without a database, they are deleted with image and result. The measurement "
            "ends when no ImageJob is left.",
            costs.by_component(run, columns),
        ]
    )


def large(effect: HistoryEffect) -> str:
    """Return the section about the effect of many rows on starts and submissions."""
    rows = [
        (title, *(number(stats.spread(1000 * it for it in times[name])) for name in times))
        for title, times in (
            ("operator's start, ms", effect.start_seconds),
            ("submission, ms", effect.submit_seconds),
        )
    ]
    names = list(effect.start_seconds)

    return "\n\n".join(
        [
            f"## {effect.rows:,} rows of history",
            "The operator was stopped and started until it was ready, and single images were "
            f"submitted, before and after the database was filled within "
            f"{digits(effect.fill_seconds)} s.",
            table(("", *names), rows),
        ]
    )


def _keeping(run: Run, sample: Sample) -> float:
    spent = costs.above_idle(run, sample)
    return sum(spent[name] for name in KEEPERS)


def _ratio(effect: HistoryEffect | None, name: str, share: float) -> Spread | None:
    if effect is None:
        return None

    none, many = (values for values in getattr(effect, name).values())
    return stats.spread([_at(many, share) / _at(none, share)]) if none and many else None


def _at(values: Sequence[float], share: float) -> float:
    return stats.percentile(values, share)
