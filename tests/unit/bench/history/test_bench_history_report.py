"""Tests of the report of `make bench-history`, and of the history's part of the benchmark page."""

import json
from pathlib import Path

import pytest
from bench.history import report
from bench.history.results import SEARCH, HistoryBench, State, Timing, WriteCost, save
from bench.plan import NOTHING, WITH_HISTORY, WITHOUT_HISTORY
from bench.report import history, page
from bench.results import MANY_ROWS, NO_ROWS, VISION_NODE, HistoryEffect, Machine, Run, Sample

MACHINE = Machine(
    processor="A processor",
    cores=2,
    system_cores=2,
    driver_apart=False,
    started="2026-01-01 00:00 UTC",
    quick=False,
    commit="abc1234",
    versions={},
)


def timing(state: State, seconds: list[float], *, found: int = 0, of_owner: bool = False) -> Timing:
    return Timing(SEARCH, "a rare word", of_owner, 1, state, seconds, found)


def bench(rows: int = 1_000_000) -> HistoryBench:
    """Return results in which 95 of 100 searches are fast."""
    seconds = [0.010] * 95 + [0.9] * 5
    return HistoryBench(
        processor="A processor",
        cores=2,
        started="2026-01-01 00:00 UTC",
        commit="abc1234",
        postgres="17.6",
        rows=rows,
        sizes={"images: rows": 480 * rows, "batches: rows": 8192},
        timings=[
            timing("warm", seconds, found=700),
            timing("after a restart", [0.2] * 10, of_owner=True),
        ],
        costs=[
            WriteCost("single images", 1000, 0.6, 0.3, 2.0),
            WriteCost("images of batches", 1000, 0.2, 0.1, 1.0),
        ],
        others_cores=[0.01, 0.05],
    )


def test_targets_are_compared_with_the_slowest_and_most_expensive() -> None:
    text = report.figures(bench())
    assert "| searches: p95 of the slowest kind | 10 ms | ≤ 100 | ✓ |" in text
    assert "| the same, after a restart | 200 ms | ≤ 100 | ✗ |" in text
    assert "| CPU time per row, in the most expensive way | 0.9 ms | ≤ 1.5 | ✓ |" in text
    assert "| a rare word | any | 1 | 10 | 10 | 900 | 7 |" in text
    assert "| a rare word, after a restart | one | 1 | 200 | 200 | 200 | 0 |" in text
    assert "| single images | 0.6 | 0.3 | 0.9 | 500 |" in text
    assert "| images: rows | 480 |" in text
    assert "batches: rows" not in text
    assert "Do not quote" not in text


def test_few_rows_reach_no_target() -> None:
    text = report.figures(bench(rows=100_000))
    assert text.startswith("**Do not quote these numbers: the targets are for 1,000,000 rows.**")
    assert "✓" not in text
    assert "✗" not in text


def test_busy_machine_is_mentioned() -> None:
    found = bench()
    found.others_cores = [0.0, 1.5]
    text = report.figures(found)
    assert text.startswith("**Do not quote these numbers: other programs kept the machine busy.**")
    assert "up to 1.5 cores" in text


def test_what_was_not_measured_reaches_no_target() -> None:
    found = bench()
    found.timings, found.costs = [], []
    text = report.figures(found)
    assert text.count("| – | ≤") == 3
    assert "✓" not in text


def test_saved_history_results_can_be_loaded(tmp_path: Path) -> None:
    save(bench(), tmp_path / "new" / "history.json")
    loaded = HistoryBench.of(json.loads((tmp_path / "new" / "history.json").read_text()))
    assert loaded == bench()


def test_report_replaces_its_section_in_the_docs(tmp_path: Path) -> None:
    docs = tmp_path / "docs" / "performance.md"
    docs.parent.mkdir()
    comments = [f"<!-- make bench-history: {end} here -->\n" for end in ("from", "to")]
    docs.write_text(f"# P\n{comments[0]}previous\n{comments[1]}end\n")

    assert report.write(tmp_path, bench(), to_docs=True) == docs
    text = docs.read_text()
    assert report.figures(bench()) in text
    assert "previous" not in text
    assert text.endswith("end\n")


def run_with(cpu_seconds: dict[str, float]) -> Run:
    """Return a run of `make bench` in which PostgreSQL and archiver are a bit busy while idle."""
    samples = [
        Sample(VISION_NODE, WITH_HISTORY, NOTHING, 0, 1000, 100.0, [0.1], cpu_seconds=cpu_seconds),
        Sample(VISION_NODE, WITHOUT_HISTORY, NOTHING, 0, 1000, 100.0, [0.1]),
    ]
    return Run(MACHINE, samples, idle_cores={"archiver": 0.001, "postgres": 0.001})


@pytest.mark.parametrize(
    ("cpu_seconds", "measured", "outcome"),
    [
        ({"archiver": 0.5, "postgres": 0.6}, 0.9, "beyond"),
        ({"archiver": 0.6, "postgres": 0.8}, 1.2, "reached"),
        ({"archiver": 0.6, "postgres": 1.8}, 2.2, "missed"),
        ({"archiver": 0.6}, None, "not measured"),
        ({}, None, "not measured"),
    ],
)
def test_cost_of_the_history_is_that_of_both_components(
    cpu_seconds: dict[str, float], measured: float | None, outcome: str
) -> None:
    target = history.judge(run_with(cpu_seconds), None)[0]
    assert target.outcome == outcome
    assert (target.measured.median if target.measured else None) == pytest.approx(measured)


def test_rows_are_compared_with_none_in_the_same_run() -> None:
    effect = HistoryEffect(MACHINE, 1_000_000, 300.0)
    effect.start_seconds = {NO_ROWS: [2.0, 2.0, 9.0], MANY_ROWS: [2.2, 2.2, 2.2]}
    effect.submit_seconds = {NO_ROWS: [0.010] * 20, MANY_ROWS: [0.010] * 18 + [0.030] * 2}
    targets = history.judge(None, effect)

    assert [it.outcome for it in targets] == ["not measured", "reached", "reached", "missed"]
    assert [it.measured and it.measured.median for it in targets[1:]] == pytest.approx([1.1, 1, 3])
    assert "| submission, ms | 10 | 10 [10 – 30] |" in history.large(effect)


@pytest.mark.parametrize("effect", [None, HistoryEffect(MACHINE, 1_000_000)])
def test_history_without_results_is_not_measured(effect: HistoryEffect | None) -> None:
    assert {it.outcome for it in history.judge(None, effect)} == {"not measured"}


def test_page_has_the_sections_of_the_history() -> None:
    effect = HistoryEffect(MACHINE, 1_000_000, 300.0)
    text = page.markdown(run_with({"archiver": 0.6, "postgres": 0.8}), None, effect=effect)
    assert "| PostgreSQL and archiver, CPU time per image | 1.2 ms | ≤ 1.5 (1) | ✓ |" in text
    assert "## What the history costs" in text
    assert "| postgres | 0.7 | – |" in text
    assert "## 1,000,000 rows of history" in text
