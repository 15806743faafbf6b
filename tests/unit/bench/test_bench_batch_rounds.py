"""Tests of the order and the samples of the benchmark of batches, with fakes for all systems."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from bench.batch import large
from bench.batch.photographs import Photographs, custom_id
from bench.batch.plan import LargeBatchPlan
from bench.batch.rounds import BatchRounds, Contest
from bench.errors import BenchError
from bench.measure.meter import Cost
from bench.measure.peak_memory import PeakMemory
from bench.measure.pictures_1080p import Picture
from bench.plan import BATCH, BESIDE_BATCH, FROM_BUCKET, FROM_DISK, METADATA, NOTHING, ONE, QUICK
from bench.results import CELERY, VISION_NODE, Machine, Run

PHOTOGRAPHS = Photographs("inbox/2/", ["k0", "k1"], ["f0", "f1"])
WARM_UP = Photographs("inbox/1/", ["k"], ["f"])
MACHINE = Machine("", 4, 2, True, "", True, "", {})  # noqa: FBT003


@dataclass
class Events:
    """What the systems were asked for, in order. All of it is done at once."""

    names: list[str] = field(default_factory=list)
    singles: int = 0
    batch_ends_after: int = 1000
    """Number of single images after which a batch is complete."""

    # As the batches:

    @asynccontextmanager
    async def created(self, **spec: str) -> AsyncIterator[str]:
        self.names.append(f"batch {spec['describer']} {spec.get('prefix') or spec['manifest']}")
        yield "b"
        self.names.append("deleted")

    async def until_complete(self, name: str, images: int) -> None: ...

    async def until_no_shards(self) -> None: ...

    async def until_first_result(self, name: str) -> None:
        self.names.append("first result")

    async def read(self, name: str) -> dict[str, Any]:
        complete = self.singles >= self.batch_ends_after
        condition = {"type": "Complete", "status": str(complete), "reason": "", "message": ""}
        manifest = {"folder": "m1/", "images": 2, "sha256": ""}
        return {
            "metadata": {"name": name},
            "status": {"images": {"done": 2}, "conditions": [condition], "manifest": manifest},
        }

    async def results(self, name: str) -> AsyncIterator[bytes]:
        for number in range(2):
            yield f'{{"customId": "{custom_id(number)}", "result": {{}}}}\n'.encode()

    # As the producer of tasks:

    async def describe(self, task: str, describer: str, names: list[str]) -> float:
        self.names.append(f"{task} {describer} {','.join(names)}")
        return 0.5

    # As the system for single images:

    async def submit(self, picture: Picture, describer: str) -> str:
        self.singles += 1
        return "j"

    async def is_done(self, job: str) -> bool:
        return True

    # As the meter:

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cost]:
        cost = Cost()
        yield cost
        cost.seconds, cost.cpu_seconds, cost.batch_writes = 1.0, {"api": 2.0}, 3.0

    async def wait_until_idle(self) -> None: ...

    async def memory(self) -> dict[str, int]:
        return {"operator": 7}

    # As the jobs of the Celery system:

    def clear(self) -> None: ...


def rounds_with(events: Any) -> BatchRounds:
    celery: Any = SimpleNamespace(jobs=events)
    contest = Contest(events, events, events, celery, PHOTOGRAPHS, WARM_UP)
    return BatchRounds(QUICK, [Picture(b"")], contest, events, Run(MACHINE), events.names.append)


def asked(events: Events) -> Iterator[str]:
    return (name for name in events.names if not name.startswith("    "))


async def test_all_systems_describe_the_same_photographs_in_turn() -> None:
    events = Events()
    await rounds_with(events).measure(0)

    assert list(asked(events)) == [
        *("batch metadata inbox/2/", "deleted"),
        *("describe_file metadata f0,f1", "describe_object metadata k0,k1"),
        *("batch nothing inbox/2/", "deleted"),
        *("describe_file nothing f0,f1", "describe_object nothing k0,k1"),
        *("batch metadata inbox/2/", "first result", "deleted"),
    ]


async def test_order_of_the_systems_alternates() -> None:
    events = Events()
    await rounds_with(events).measure(1)
    assert list(asked(events))[:3] == [
        *("describe_object metadata k0,k1", "describe_file metadata f0,f1"),
        "batch metadata inbox/2/",
    ]


async def test_each_way_is_warmed_up_with_few_photographs() -> None:
    events = Events()
    rounds = rounds_with(events)
    await rounds.prepare()

    assert [name for name in events.names if name != "deleted"] == [
        how % describer
        for describer in (METADATA, NOTHING)
        for how in ("batch %s inbox/1/", "describe_file %s f", "describe_object %s k")
    ]
    assert rounds.run.samples == []


async def test_samples_have_times_and_costs() -> None:
    rounds = rounds_with(Events())
    await rounds.measure(2)
    run = rounds.run

    for describer in (METADATA, NOTHING):
        (batch,) = run.select(VISION_NODE, BATCH, describer)
        assert (batch.round, batch.images, batch.batch_writes) == (2, 2, 3)
        assert batch.seconds > 0
        assert batch.cpu_seconds == {"api": 2}

        for load in (FROM_DISK, FROM_BUCKET):
            (task,) = run.select(CELERY, load, describer)
            assert (task.images, task.seconds) == (2, 0.5)

    assert len(run.first_result_seconds) == 1
    (singles,) = run.select(VISION_NODE, BESIDE_BATCH, METADATA)
    assert len(singles.latencies) == singles.images == QUICK.images[ONE][METADATA]


async def test_single_image_that_ends_after_the_batch_does_not_count() -> None:
    rounds = rounds_with(Events(batch_ends_after=8))
    await rounds.measure(0)
    (singles,) = rounds.run.select(VISION_NODE, BESIDE_BATCH, METADATA)
    assert singles.images == 7


async def test_too_few_single_images_end_the_benchmark() -> None:
    with pytest.raises(BenchError, match="only 4 single images"):
        await rounds_with(Events(batch_ends_after=5)).measure(0)


async def test_large_batch_is_described_read_and_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    events: Any = Events(batch_ends_after=0)
    stage: Any = SimpleNamespace(kube=None, http=None, arena=None, say=events.names.append)

    async def five(_kube: object) -> int:
        return 5

    monkeypatch.setattr(large, "count_imagejobs", five)
    monkeypatch.setattr(large, "Batches", lambda kube, http: events)
    monkeypatch.setattr(large, "Meter", lambda arena, kube: events)
    found = await large._describe(stage, LargeBatchPlan(images=2), MACHINE, "inbox/m.jsonl")

    assert next(asked(events)) == "batch nothing inbox/m.jsonl"
    assert "deleted" in events.names
    assert (found.images, found.imagejobs, found.batch_writes) == (2, 5, 3)
    assert (found.missing, found.repeated) == (0, 0)
    assert found.memory == found.memory_before == {"operator": 7}
    assert found.counted[-1][1] == 2
    assert 0 < found.manifest_seconds <= found.seconds
    assert found.batch_bytes > 100


def test_greatest_memory_of_each_component_is_kept() -> None:
    peak = PeakMemory()
    for now in ({"api": 5, "operator": 9}, {"api": 7, "archiver": 3}):
        peak.add(now)

    assert peak.by_component == {"api": 7, "operator": 9, "archiver": 3}
