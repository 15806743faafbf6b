"""Tests of the course of a soak test, with a fake API and a fake cluster."""

import asyncio
import dataclasses
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench.arena import WARM
from bench.errors import BenchError
from bench.results import Machine
from bench.soak import history, run, sampler
from bench.soak.results import AT_END, AT_START, COMPACTED, DEFRAGMENTED, Reading, soak_of
from bench.soak.run import exercise, is_empty
from unit.bench.soak.soak_fakes import (
    MACHINE,
    PLAN,
    QUEUED,
    FakeApi,
    FakeCluster,
    Reply,
    new_soak,
    reading,
    rigged,
    serving_url,
    until_true,
)

BUSY = reading(imagejobs=40, objects=None)
TESTS = Path(__file__).parents[3]


async def test_soak_ends_when_everything_is_evicted() -> None:
    cluster = FakeCluster([reading(), BUSY, BUSY, BUSY, reading(0, None), reading()])
    soak, said = new_soak(), list[str]()
    async with rigged(cluster, FakeApi(), soak, said) as rig:
        await exercise(rig, PLAN, soak)

    assert (soak.tally.done, soak.tally.problems, soak.failed_samples) == (40, 0, 0)
    assert soak.load_seconds > 0
    assert soak.evicted_seconds is not None
    assert is_empty(soak.samples[-1].reading, soak.workers)
    assert list(soak.etcd) == [AT_START, AT_END, COMPACTED, DEFRAGMENTED]
    course = ["compact", "defragment", "size", "size", "compact", "size", "defragment", "size"]
    assert cluster.calls == course
    assert any("40 of 40 images done" in text for text in said)


async def test_objects_are_counted_rarely_until_no_imagejob_is_left() -> None:
    gone = reading(0, None)
    cluster = FakeCluster([reading(), *[BUSY] * 200, gone, gone, reading()])
    soak = new_soak()
    async with rigged(cluster, FakeApi(), soak) as rig:
        await exercise(rig, PLAN, soak)

    counted = cluster.asked_for_objects[1:201]
    assert sum(counted) == pytest.approx(200 / sampler.OBJECTS_EVERY, abs=1)
    assert cluster.asked_for_objects[202:] == [True, True]


@pytest.mark.parametrize(
    "left",
    [reading(imagejobs=1), reading(objects=1), reading(jobs=5), reading(objects=None)],
    ids=["ImageJob", "object", "worker", "objects not counted"],
)
async def test_soak_does_not_wait_forever_for_what_is_left(
    left: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "EVICTION_SECONDS", -PLAN.imagejob_seconds)
    cluster = FakeCluster([reading(), left])
    soak = new_soak()
    async with rigged(cluster, FakeApi(), soak) as rig:
        await exercise(rig, PLAN, soak)

    assert soak.evicted_seconds is None
    assert cluster.asked_for_objects[-1]
    assert DEFRAGMENTED in soak.etcd


async def test_soak_refuses_a_cluster_that_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "EMPTY_SECONDS", -1)
    soak, api = new_soak(), FakeApi()
    async with rigged(FakeCluster([reading(2, 3)]), api, soak) as rig:
        with pytest.raises(BenchError, match=r"not empty: 2 ImageJobs, 4 Jobs and 4 pods .* 3 obj"):
            await exercise(rig, PLAN, soak)

    assert not api.requests


async def test_soak_waits_until_the_cluster_is_empty() -> None:
    cluster = FakeCluster([reading(2, 3), reading(0, 3), reading()])
    soak = new_soak()
    async with rigged(cluster, FakeApi(), soak) as rig:
        await exercise(rig, PLAN, soak)

    assert soak.tally.done == 40


async def test_soak_stops_if_the_first_image_is_not_archived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "ARCHIVE_SECONDS", -1)
    soak, api = new_soak(), FakeApi()
    async with rigged(FakeCluster(archived={"another"}), api, soak) as rig:
        with pytest.raises(BenchError, match="ImageJob j1 is not in PostgreSQL"):
            await exercise(rig, PLAN, soak)

    assert api.requests["submit"] == 1


async def test_history_is_compared_with_all_acknowledged_jobs() -> None:
    soak = new_soak()
    archived = {f"j{number}" for number in range(1, PLAN.images)}
    async with rigged(FakeCluster(archived=archived), FakeApi(), soak) as rig:
        await exercise(rig, PLAN, soak)

    assert soak.found is not None
    assert (soak.found.acknowledged, soak.found.missing) == (PLAN.images, 1)
    assert (soak.found.statuses, soak.found.statuses_wrong) == (PLAN.images, 0)
    assert (soak.found.searches, soak.found.searches_wrong) == (PLAN.images, 0)


@pytest.mark.parametrize(
    ("always", "statuses_wrong", "searches_wrong"),
    [
        ({"jobs": (200, '{"jobs": []}')}, 0, PLAN.images),
        ({"jobs": (503, "")}, 0, PLAN.images),
        ({"jobs": (404, "j1")}, 0, PLAN.images),
        ({"status": (404, "")}, PLAN.images, 0),
        ({"status": (200, '{"status": "failed"}')}, PLAN.images, 0),
        ({"status": (503, "")}, PLAN.images, 0),
    ],
    ids=["none found", "no search", "error", "unknown", "failed", "no status"],
)
async def test_jobs_that_the_api_does_not_find_are_counted(
    always: dict[str, Reply], statuses_wrong: int, searches_wrong: int
) -> None:
    api, soak = FakeApi(), new_soak()
    async with rigged(FakeCluster(), api, soak) as rig:
        for number in range(PLAN.images):
            await rig.client.process(number)
        api.always = always
        found = await history.look_for(rig.client, rig.history)

    assert (found.statuses_wrong, found.searches_wrong) == (statuses_wrong, searches_wrong)


async def test_soak_stops_if_the_first_image_is_refused() -> None:
    soak = new_soak()
    async with rigged(FakeCluster(), FakeApi(always={"submit": (422, "no")}), soak) as rig:
        with pytest.raises(BenchError, match="image 1: not accepted: 422 no"):
            await exercise(rig, PLAN, soak)


async def test_failed_readings_are_counted_and_do_not_stop_the_load() -> None:
    failures: list[Reading | Exception] = [BenchError("503"), TimeoutError(), ValueError("cut off")]
    cluster = FakeCluster([reading(), *failures, reading()])
    soak, said = new_soak(), list[str]()
    async with rigged(cluster, FakeApi(), soak, said) as rig:
        await exercise(rig, PLAN, soak)

    assert soak.failed_samples == 3
    assert soak.tally.done == 40
    assert "  a sample could not be read: BenchError('503')" in said


async def test_soak_stops_if_nothing_can_be_read() -> None:
    endless = FakeApi(always={"status": QUEUED}, replies={"status": [(200, '{"status": "done"}')]})
    cluster = FakeCluster([reading(), OSError("no node")])
    soak = new_soak()
    async with rigged(cluster, endless, soak) as rig:
        with pytest.raises(BenchError, match=r"10 samples in a row .* OSError\('no node'\)"):
            await exercise(rig, PLAN, soak)

    assert soak.failed_samples == sampler.MAX_FAILURES


async def test_soak_stops_sampling_if_too_many_images_fail() -> None:
    plan = type(PLAN)(images=10_000, imagejob_seconds=60, clients=4, sample_seconds=3600)
    api = FakeApi(replies={"submit": [(202, '{"job_id": "j1"}')]}, always={"submit": (422, "no")})
    soak = new_soak(plan)
    async with rigged(FakeCluster(), api, soak) as rig:
        with pytest.raises(BenchError, match="stopped after 101 problems"):
            await exercise(rig, plan, soak)


async def test_cancelled_soak_leaves_no_task_behind() -> None:
    endless = FakeApi(always={"status": QUEUED}, replies={"status": [(200, '{"status": "done"}')]})
    soak = new_soak()
    async with rigged(FakeCluster(), endless, soak) as rig:
        running = asyncio.create_task(exercise(rig, PLAN, soak))
        await until_true(lambda: endless.requests["status"] > 8 and len(soak.samples) > 3)

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        ours = [task for task in asyncio.all_tasks() if "tests/bench/soak/" in repr(task)]

    assert ours == []


@pytest.mark.parametrize("error", [None, BenchError], ids=["complete", "stopped"])
async def test_results_are_saved_even_if_the_test_is_stopped(
    error: type[BenchError] | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(history, "ARCHIVE_SECONDS", -1)
    api, configured = FakeApi(), list[object]()
    cluster = FakeCluster(archived=set() if error else None, api=api)

    async def nothing(*_: object) -> None:
        return

    async def machine(*_: object, quick: bool) -> Machine:
        return dataclasses.replace(MACHINE, quick=quick)

    @asynccontextmanager
    async def database(_: object) -> AsyncIterator[FakeCluster]:
        yield cluster

    async def history_of(*_: object) -> FakeCluster:
        return cluster

    async with serving_url(api) as url:

        @asynccontextmanager
        async def staged() -> AsyncIterator[SimpleNamespace]:
            arena = SimpleNamespace(url=url, configure=lambda *it: configured.append(it))
            yield SimpleNamespace(arena=arena, kube=None, say=lambda text: None)

        monkeypatch.setattr(run, "staged", staged)
        monkeypatch.setattr(run, "ClusterSource", lambda *_: cluster)
        monkeypatch.setattr(run, "RESULTS", tmp_path / "soak.json")
        monkeypatch.setattr(run.etcd, "connect", database)
        monkeypatch.setattr(run.machine, "describe", machine)
        monkeypatch.setattr(run.ClusterDatabase, "of", history_of)
        for name in ("workers_serve", "delete_imagejobs"):
            monkeypatch.setattr(run.release_state, name, nothing)

        with pytest.raises(error) if error else nullcontext():
            await run.measure(PLAN)

    saved = soak_of(json.loads((tmp_path / "soak.json").read_text()))
    assert saved.tally.done == (1 if error else PLAN.images)
    assert saved.machine == dataclasses.replace(MACHINE, quick=True)
    values = {
        "database.enabled": True,
        "retention.imageJobSeconds": 60,
        "retention.imageSeconds": 0,
    }
    assert configured == [(WARM, values)]


@pytest.mark.parametrize("in_background", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_everything_and_saves_what_was_seen(
    number: signal.Signals, tmp_path: Path, *, in_background: bool
) -> None:
    """Shells ignore SIGINT for programs that they start in the background."""
    file = shlex.quote(str(tmp_path / "soak.json"))
    python = f"exec {shlex.quote(sys.executable)} -m unit.bench.soak.endless_soak {file}"
    script = f"trap '' INT; {python}" if in_background else python
    environment = {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    with subprocess.Popen(
        ["/bin/sh", "-c", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "loading\n"
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, output, errors) == (130, "stopped\n", "\ninterrupted\n")
    assert '"samples": [{"seconds"' in (tmp_path / "soak.json").read_text()
