"""Tests of the benchmark's report: targets, tables, and saving and loading results."""

import dataclasses
import json
from pathlib import Path

import pytest
from bench.plan import (
    BATCH,
    BESIDE_BATCH,
    BURST,
    EIGHT,
    FROM_BUCKET,
    FROM_DISK,
    METADATA,
    NOTHING,
    ONE,
    POISSON,
    THIRTY_TWO,
    UPLOADED_FORM,
    UPLOADED_TAR,
    WAITING,
)
from bench.report import batch_targets, page, tables, targets
from bench.report.targets import Target
from bench.results import (
    CELERY,
    JOB_PER_IMAGE,
    VISION_NODE,
    Backlog,
    Drain,
    LargeBatch,
    Machine,
    Run,
    Sample,
    backlog_of,
    large_batches,
    save,
)
from bench.stats import Spread

MACHINE = Machine(
    processor="A processor",
    cores=4,
    system_cores=2,
    driver_apart=True,
    started="2026-01-01 00:00 UTC",
    quick=False,
    commit="abc1234",
    versions={"Kubernetes": "v1.36.3"},
)


def sample(system: str, load: str, describer: str, seconds: float) -> Sample:
    """Return a sample of ten images that took `seconds` in total."""
    return Sample(
        system=system,
        load=load,
        describer=describer,
        round=0,
        images=10,
        seconds=seconds,
        latencies=[seconds / 10] * 10,
        cpu_seconds={"api": 0.3, "workers": 0.5, "celery api": 0.1, "driver": 0.2},
        writes=30,
    )


@pytest.fixture
def run() -> Run:
    loads = [
        (load, describer)
        for load in (ONE, EIGHT, THIRTY_TWO, POISSON, BURST)
        for describer in (METADATA, NOTHING)
    ]
    samples = [
        sample(system, *load, seconds)
        for load in loads
        for system, seconds in ((VISION_NODE, 1.0), (CELERY, 0.8))
    ]
    samples.append(sample(JOB_PER_IMAGE, EIGHT, METADATA, 20.0))

    return Run(
        MACHINE, samples, [2.0, 3.5, 2.5], {"api": 0.004, "operator": 0.02}, [2000], [500_000]
    )


@pytest.fixture
def run_with_batches(run: Run) -> Run:
    for describer in (METADATA, NOTHING):
        for system, load, seconds in (
            (VISION_NODE, BATCH, 0.5),
            (CELERY, FROM_DISK, 0.4),
            (CELERY, FROM_BUCKET, 0.6),
        ):
            run.samples.append(
                dataclasses.replace(sample(system, load, describer, seconds), batch_writes=0.7)
            )

    for load, seconds in ((UPLOADED_FORM, 0.9), (UPLOADED_TAR, 0.8)):
        found = sample(VISION_NODE, load, METADATA, seconds)
        run.samples.append(dataclasses.replace(found, upload_seconds=0.3))

    run.samples.append(sample(VISION_NODE, BESIDE_BATCH, METADATA, 2.5))
    run.first_result_seconds += [0.4, 0.9, 0.8]
    return run


@pytest.fixture
def large() -> LargeBatch:
    return LargeBatch(
        machine=MACHINE,
        images=100_000,
        manifest_seconds=2.5,
        seconds=502,
        counted=[(0, 0), (2, 0), (3, 200), (502, 100_000)],
        batch_bytes=3072,
        imagejobs=12,
        memory_before={"operator": 60_000_000},
        memory={"operator": 160_000_000, "archiver": 70_000_000},
        cpu_seconds={"operator": 50.0},
        batch_writes=2000,
        results_seconds=12.5,
        results_bytes=25_000_000,
        missing=0,
        repeated=1,
        deleted_seconds=1.5,
    )


@pytest.fixture
def backlog() -> Backlog:
    small, large = (Drain(n, 1, 1 + n / 100, [(1, 1), (1 + n / 100, n)]) for n in (500, 10_000))
    memory = {"0": {"operator": 60_000_000}, "10000": {"operator": 150_000_000}}
    return Backlog(MACHINE, [small], large, memory, 150_000_000, [0.02, 0.03, 0.04], [2000], 9e7)


def outcomes(targets: list[Target]) -> dict[str, str]:
    """Return the outcome of each target by title and unit."""
    return {f"{target.title} {target.unit}".strip(): target.outcome for target in targets}


def test_median_is_compared_with_every_target(run: Run, backlog: Backlog) -> None:
    run.samples.append(sample(VISION_NODE, WAITING, METADATA, 1.6))
    assert outcomes(targets.judge(run, backlog)) == {
        "time until done, 1 client, p50 × Celery": "reached",
        "`POST /submit` with `Prefer: wait`, 1 client, p50 × Celery, polled": "reached",
        "images/s, 8 clients × Celery": "reached",
        "images/s, 8 clients × Job per image": "reached",
        "images/s, 8 clients, describer `nothing` × Celery": "beyond",
        "burst of 10: time until all are done × Celery": "reached",
        "cold start without workers: time until done s": "beyond",
        "ImageJob writes per image": "reached",
        "idle operator % of a core": "missed",
        "idle api % of a core": "reached",
        "idle archiver % of a core": "not measured",
        "images/s with a backlog of 10,000, compared to 500 ×": "beyond",
        "operator memory with 10,000 ImageJobs MB": "reached",
        "list page of 50 out of 10,000 ImageJobs, p50 ms": "reached",
    }


def test_targets_are_not_measured_without_results() -> None:
    assert {target.outcome for target in targets.judge(None, None)} == {"not measured"}


def test_batches_are_compared_with_their_targets(run_with_batches: Run, large: LargeBatch) -> None:
    assert outcomes(batch_targets.judge(run_with_batches, [large])) == {
        "images/s, batch of 10 photographs × Celery through HTTP": "beyond",
        "images/s, batch of 10 photographs × Celery from its disk": "reached",
        "images/s, batch of 10, describer `nothing` × Celery through HTTP": "missed",
        "images/s, batch of 10, describer `nothing` × Celery from its disk": "beyond",
        "images/s, batch uploaded as a form, 10 photographs × Celery through HTTP": "reached",
        "images/s, batch uploaded as a tar stream, 10 photographs × Celery through HTTP": "beyond",
        "writes and deletions per image of a batch": "reached",
        "time until done beside a batch, 1 client, p50 × without a batch": "reached",
        "first result of a batch s": "reached",
        "batch of 100,000: images/s, last tenth × first tenth": "reached",
        "batch of 100,000: size of the ImageBatch KiB": "reached",
        "batch of 100,000: operator memory MB": "missed",
        "batch of 100,000: ImageJobs at a time": "reached",
        "batch of 100,000: missing or repeated results": "missed",
    }


def test_batch_targets_are_not_measured_without_results(run: Run) -> None:
    for found in (None, run):
        assert {target.outcome for target in batch_targets.judge(found, [])} == {"not measured"}


def test_best_rate_through_http_is_chosen_in_each_round(run: Run) -> None:
    run.samples.append(dataclasses.replace(sample(CELERY, EIGHT, METADATA, 0.9), round=1))
    run.samples.append(dataclasses.replace(sample(CELERY, THIRTY_TWO, METADATA, 0.5), round=1))
    found = batch_targets.best_through_http(run, METADATA)
    assert [(it.round, it.seconds) for it in found] == [(0, 0.8), (1, 0.5)]


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(1.0, "beyond"), (1.1, "beyond"), (1.5, "reached"), (1.6, "reached"), (1.61, "missed")],
)
def test_value_equal_to_the_target_reaches_it(value: float, outcome: str) -> None:
    assert Target("", "at most", 1.6, 1.1, "", Spread(value, 0, 9)).outcome == outcome


def test_page_shows_value_target_and_outcome(run: Run, backlog: Backlog) -> None:
    text = page.markdown(run, backlog)
    assert "| time until done, 1 client, p50 | 1.25 × Celery | ≤ 1.6 (1.1) | ✓ |" in text
    assert (
        "| cold start without workers: time until done | 2.5 [2 – 3.5] s | ≤ 4 (3) | ✓ and beyond |"
        in text
    )
    assert "| idle operator | 2 % of a core | ≤ 1 | ✗ |" in text


def test_page_shows_the_python_versions_of_both_systems(run: Run) -> None:
    run.machine = dataclasses.replace(
        MACHINE, versions={"Python": "3.13.5", "Celery's Python": "3.13.6"}
    )
    assert "Python 3.13.5, Celery's Python 3.13.6; vision-node at abc1234" in page.markdown(
        run, None
    )


def test_cpu_time_per_image_excludes_idle_use_and_other_systems(run: Run) -> None:
    text = page.markdown(run, None)
    header, rule, *rows = (
        text.partition("while the system is idle.\n\n")[2].partition("\n\n")[0].splitlines()
    )
    assert header.split(" | ")[1:3] == ["vision-node, metadata", "vision-node, nothing"]
    assert rule.startswith("| --- | ---: |")
    assert rows[1].startswith("| api | 29.6 | 29.6 | 10 | 10 |")
    assert rows[-1].startswith("| total | 79.6 | 79.6 | 10 | 10 |")


def test_page_omits_sections_without_results(run: Run, backlog: Backlog) -> None:
    assert "## 10,000 ImageJobs" not in page.markdown(run, None)
    assert "## What an image costs" not in page.markdown(None, backlog)


def test_page_shows_batches_beside_celery(run_with_batches: Run) -> None:
    text = page.markdown(run_with_batches, None)
    assert "## A batch of 10 photographs" in text
    assert "| images/s, describer `metadata` | 20 | 25 | 16.7 | 12.5 |" in text
    assert "first result 0.8 [0.4 – 0.9] s after" in text
    assert "done after 250 ms (p50), compared to 100 ms without a batch" in text
    assert "For 100 images, 0 writes were repeated" in text
    *_, costs = (
        text.partition("per image of a batch, minus")[2].split("| total |")[1].split("\n")[:1]
    )
    assert costs == " 79.8 | 79.8 | 10 | 10 | 10 | 10 |"


def test_page_shows_uploads_beside_celery(run_with_batches: Run) -> None:
    text = page.markdown(run_with_batches, None)
    section = text.partition("## 10 photographs in one request\n")[2].partition("\n## ")[0]
    assert "| batch uploaded as a form | 11.1 | 0.889 | 0.9 | 0.3 |" in section
    assert "| batch uploaded as a tar stream | 12.5 | 1 | 0.8 | 0.3 |" in section
    assert "| api | 29.6 | 29.7 | 10 |" in section


def test_page_without_uploads_has_no_section_about_them(run: Run) -> None:
    assert "photographs in one request\n" not in page.markdown(run, None)


def test_page_shows_large_batches(run: Run, large: LargeBatch) -> None:
    text = page.markdown(None, None, [large])
    assert "described after 502 s, which is 199 images/s" in text
    assert "| 200 – 10,000 | 200 |" in text
    assert "| 90,000 – 100,000 | 200 |" in text
    assert "at most 3.1 kB, and there were at most 12 ImageJobs" in text
    assert "(25 MB) were read through the API in 12.5 s: 0 were missing and 1 repeated" in text
    assert "| operator | 60 | 160 | 0.5 |" in text


def test_page_without_batches_has_no_section_about_them(run: Run) -> None:
    assert "## A batch" not in page.markdown(run, None)


def test_quick_large_batches_are_loaded_only_if_there_are_no_others(
    large: LargeBatch, tmp_path: Path
) -> None:
    def add(images: int, *, quick: bool) -> list[int]:
        machine = dataclasses.replace(MACHINE, quick=quick)
        found = dataclasses.replace(large, images=images, machine=machine)
        save(found, tmp_path / f"batch-{images}.json")
        return [it.images for it in large_batches(tmp_path)]

    assert large_batches(tmp_path) == []
    assert add(10_000, quick=True) == [10_000]
    assert add(1_000_000, quick=False) == [1_000_000]
    assert add(100_000, quick=False) == [100_000, 1_000_000]


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (123.4, "123"), (12.34, "12.3"), (0.012345, "0.0123"), (3, "3")],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert tables.digits(value) == text


def test_saved_large_batch_can_be_loaded(large: LargeBatch, tmp_path: Path) -> None:
    save(large, tmp_path / "batch.json")
    assert LargeBatch.of(json.loads((tmp_path / "batch.json").read_text())) == large


def test_saved_results_can_be_loaded(run: Run, backlog: Backlog, tmp_path: Path) -> None:
    save(run, tmp_path / "results.json")
    save(backlog, tmp_path / "backlog.json")
    assert Run.of(json.loads((tmp_path / "results.json").read_text())) == run
    again = backlog_of(json.loads((tmp_path / "backlog.json").read_text()))
    assert dataclasses.asdict(again) == dataclasses.asdict(backlog)
