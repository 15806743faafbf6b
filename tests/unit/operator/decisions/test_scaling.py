"""Tests of scaling: when workers are launched and when they are retired."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from vision_node_operator.decisions.actions import Assign, Launch, Retire
from vision_node_operator.decisions.decide import decide
from world import NOW, SETTINGS, World, at

FOUR: Any = {"concurrency": 4, "maxWorkers": 5}


def launches(world: World, after: float = 0) -> int:
    return sum(decision.startswith("launch") for decision in world.decide(after))


@pytest.mark.parametrize(
    ("images", "seconds", "expected"),
    [
        (1, None, 1),
        (8, None, 1),
        (35, None, 3),
        (8, 0.05, 1),
        (100, 0.05, 1),
        (8, 0.5, 1),
        (8, 5.0, 2),
        (35, 5.0, 5),
        (10_000, 0.05, 5),
    ],
)
def test_number_of_workers_follows_queue_and_time_per_image(
    images: int, seconds: float | None, expected: int
) -> None:
    """Enough workers are launched to finish the queue within two seconds, but at most five."""
    world = World()
    world.describer(**FOUR)
    for n in range(images):
        world.job(f"j{n}")
    if seconds:
        world.record.load.measure(seconds)
    assert launches(world) == expected


def test_time_per_image_is_measured_from_the_first_results() -> None:
    world = World()
    for n in range(10):
        world.processing(f"j{n}", "w0", startTime=at(0))
        took = {"startTime": at(0), "completionTime": at(4)}
        world.job(f"j{n}", seen=4, phase="done", attempts=1, worker="w0", **took)

    assert world.record.load.seconds_per_image == pytest.approx(4)
    assert world.record.load.unfinished == 0
    assert world.state.workers.records["w0"].assigned_total == 10


def test_running_attempts_raise_the_estimated_time_per_image() -> None:
    world = World()
    world.describer(concurrency=1)
    world.worker(0)
    world.processing("slow", "w0", attemptDeadline=at(60))
    world.job("next")
    assert launches(world, after=0.9) == 0
    assert launches(world, after=3) == 1


def test_second_worker_is_launched_when_the_first_stays_busy() -> None:
    """Eight clients that each submit one image at a time never cause a long queue."""
    world = World()
    world.describer(**FOUR)
    world.worker(0)
    world.record.load.measure(0.05)
    for n in range(8):
        world.job(f"j{n}")

    for n in range(4):
        world.processing(f"j{n}", "w0", attemptDeadline=at(65))

    assert launches(world, after=0.5) == 0
    assert launches(world, after=5) == 1


class Simulation:
    """A simulated cluster that advances in steps of 0.1 s.

    A new worker serves after one second, and describing an image takes `seconds`.
    """

    def __init__(self, seconds: float, **spec: Any) -> None:
        self.world = World()
        self.world.describer(**spec)
        self.seconds = seconds
        self.time = 0.0
        self.serving: dict[int, float] = {}
        self.ends: list[tuple[float, str, str]] = []
        self.launched: list[float] = []
        self.made = 0

    def submit(self) -> None:
        self.made += 1
        self.world.state.observe("imagejobs", self._job(f"j{self.made}"), self.now)

    @property
    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.time)

    def tick(self) -> None:
        self.time = round(self.time + 0.1, 1)
        for end, name, worker in [e for e in self.ends if e[0] <= self.time]:
            self.ends.remove((end, name, worker))
            done = {"phase": "done", "attempts": 1, "worker": worker}
            times = {"startTime": at(end - self.seconds), "completionTime": at(end)}
            self.world.state.observe("imagejobs", self._job(name, **done, **times), self.now)

        for slot in [slot for slot, ready in self.serving.items() if ready <= self.time]:
            self.world.lease(slot, self.time)

        for action in decide(self.world.state, SETTINGS, self.now):
            self._perform(action)

    def _perform(self, action: Any) -> None:
        match action:
            case Launch():
                slot = int(action.name.rsplit("-", 1)[1])
                self.launched.append(self.time)
                self.serving[slot] = self.time + 1
                self.world.worker(slot, renewed=None, created=self.time, uid=f"u{self.time}")
            case Retire():
                slot = int(action.name.rsplit("-", 1)[1])
                del self.serving[slot]
                for kind, name in (
                    ("jobs", action.name),
                    ("pods", f"w{slot}"),
                    ("leases", f"w{slot}"),
                ):
                    self.world.forget(kind, name, self.time)  # type: ignore[arg-type]
            case Assign():
                name = action.job.metadata.name
                held = {"phase": "processing", "attempts": 1, "worker": action.worker}
                deadline = {"startTime": at(self.time), "attemptDeadline": at(self.time + 60)}
                self.world.state.observe("imagejobs", self._job(name, **held, **deadline), self.now)
                self.ends.append((self.time + self.seconds, name, action.worker))

    def _job(self, name: str, **status: Any) -> Any:
        self.world.version += 1
        meta = {"name": name, "uid": name, "resourceVersion": str(self.world.version)}
        return {
            "metadata": meta,
            "spec": {"image": {"key": "images/1"}, "describer": "metadata"},
            "status": status,
        }


def test_irregular_load_does_not_cause_frequent_launches() -> None:
    """For ten minutes, images arrive in random bursts; on average, three are being processed."""
    noise = random.Random(7)  # noqa: S311 (a simulated load, not a secret)
    simulation = Simulation(seconds=0.5, concurrency=2, maxWorkers=4, idleSeconds=60)
    while simulation.time < 600:
        if noise.random() < 0.1:
            for _ in range(noise.randint(1, 11)):
                simulation.submit()
        simulation.tick()

    assert simulation.made > 3000
    assert len(simulation.serving) in {2, 3, 4}
    assert len(simulation.launched) <= 6
    assert max(simulation.launched) < 120, "the number of workers settles within two minutes"


def test_burst_of_small_images_needs_one_worker() -> None:
    simulation = Simulation(seconds=0.1, concurrency=4, maxWorkers=2, idleSeconds=60)
    for _ in range(8):
        simulation.submit()
    while simulation.time < 62:
        simulation.tick()
    assert (simulation.launched, simulation.ends, simulation.serving) == ([0.1], [], {})
