"""Tests of the rate limit: assignments stay within requestsPerMinute and the provider's limit."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from vision_node_contract.models.imagejob import Condition, ImageJob
from vision_node_contract.names import DESCRIBER_LABEL, REQUESTS_ANNOTATION
from vision_node_operator.state.object_versions import LONG_AGO
from vision_node_operator.state.rate_limit import interval_of
from world import NOW, World, at


@dataclass
class Run:
    """A simulation of workers and their provider that advances in steps of one second."""

    world: World
    seconds: int = 5
    """How long the provider takes to answer, in seconds."""
    limit: int = 1000
    """Maximum number of images per minute that the provider accepts. It refuses any more."""
    retry_after: float = 20
    """Value of the Retry-After header of a refusal, in seconds."""
    accepted: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    _work: dict[str, tuple[int, str]] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)

    def go(self, images: int, max_seconds: int, workers: int = 2) -> int:
        """Describe `images` images and return the duration in seconds; fail after `max_seconds`."""
        for number in range(images):
            self.world.job(f"i{number:03}")

        for second in range(max_seconds):
            for slot in range(workers):
                self.world.lease(slot, second)
            self._describe(second)
            if len(self.done) == images:
                return second
            for line in self.world.decide(second):
                self._perform(line.split(), second)

        raise AssertionError(
            f"only {len(self.done)} of {images} images were described within {max_seconds} s"
        )

    def _describe(self, second: int) -> None:
        for name, (until, worker) in [*self._work.items()]:
            if second >= until:
                del self._work[name]
                self.done.append(name)
                self.world.job(
                    name, phase="done", worker=worker, attempts=self._attempts[name], seen=second
                )

    def _perform(self, words: list[str], second: int) -> None:
        match words:
            case ["assign", name, "to", worker]:
                self.world.state.take_slot("metadata", NOW + timedelta(seconds=second))
                self._send_request(name, worker, second)
            case ["requeue", name, "RateLimited", due, "free"]:
                number = self._attempts[name]
                self.world.job(name, attempts=number, losses=number, nextAttemptTime=at(float(due)))
            case ["launch", *_]:
                pass
            case _:
                raise AssertionError(f"unexpected: {' '.join(words)}")

    def _send_request(self, name: str, worker: str, second: int) -> None:
        number = self._attempts[name] = self._attempts.get(name, 0) + 1
        status: dict[str, Any] = {"attempts": number, "losses": number - 1}
        status["attemptDeadline"] = at(second + 60)

        if sum(then > second - 60 for then in self.accepted) < self.limit:
            self.accepted.append(second)
            self._work[name] = second + self.seconds, worker
        else:
            self.refused.append(name)
            wait = {"retryable": True, "retryAfterSeconds": self.retry_after}
            status["error"] = {"reason": "RateLimited", "message": "slow", **wait}

        self.world.processing(name, worker, seen=second, **status)


@pytest.fixture
def world() -> World:
    return World()


def serving(world: World, workers: int, **spec: Any) -> None:
    world.describer(**{"maxWorkers": 4, "concurrency": 4, "idleSeconds": 9999, **spec})
    for slot in range(workers):
        world.worker(slot)


def max_in_a_minute(accepted: list[int]) -> int:
    return max(sum(first <= then < first + 60 for then in accepted) for first in accepted)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("rate", "images"), [(1, 5), (3, 40), (20, 60), (200, 600)])
def test_queue_is_described_at_the_full_rate_but_not_faster(
    world: World, rate: int, images: int, workers: int
) -> None:
    serving(world, workers, requestsPerMinute=rate, concurrency=20)
    run = Run(world)
    took = run.go(images, images * 60, workers)
    assert max_in_a_minute(run.accepted) <= rate
    assert took <= images * 60 / rate * 1.05 + run.seconds + 1, (
        "the full rate is used, regardless of the number of workers"
    )


@pytest.mark.parametrize("waits", [0, 1, 20, 60])
def test_image_is_refused_at_most_five_times_at_the_providers_limit(
    world: World, waits: float
) -> None:
    serving(world, 2)
    run = Run(world, limit=6, retry_after=waits)
    assert run.go(60, 1500) < 800, "the minimum is 600 s"
    assert max(run.refused.count(name) for name in run.refused) <= 5, (
        "an image may be refused 20 times without using up an attempt"
    )


def test_backoff_never_exceeds_a_minute_during_a_long_outage(world: World) -> None:
    rate_limit, now, waits = world.state.rate_limit("metadata"), NOW, list[float]()
    error = {"reason": "RateLimited", "message": "", "retryable": True}
    status = {"phase": "processing", "error": error}
    spec = {"image": {"key": "images/1"}, "describer": "metadata"}
    job = ImageJob.model_validate({"metadata": {"name": "a"}, "spec": spec, "status": status})

    for _ in range(3000):
        rate_limit.record_outcome(job, now)
        waits.append((rate_limit.blocked_until - now).total_seconds())
        now = rate_limit.blocked_until

    assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits[-1] == 60


@pytest.mark.parametrize(
    ("annotation", "expected"), [("4", 4), ("0", 1), ("-4", 1), ("many", 1), ("9" * 5000, 1)]
)
def test_interval_depends_on_requests_per_image(
    world: World, annotation: str, expected: int
) -> None:
    serving(world, 1, requestsPerMinute=12)
    meta = {
        "labels": {DESCRIBER_LABEL: "metadata"},
        "annotations": {REQUESTS_ANNOTATION: annotation},
    }
    world.observe("leases", "w0", metadata=meta, spec={"renewTime": at(0)})
    assert world.record.interval == interval_of(12, expected)


def test_rate_limit_applies_to_images_that_need_several_requests(world: World) -> None:
    serving(world, 1, requestsPerMinute=12)
    world.record.requests_per_image = 4
    run = Run(world)
    run.go(10, 300, workers=1)
    assert max_in_a_minute(run.accepted) == 3


def test_restarted_operator_waits_an_interval_before_the_first_image(world: World) -> None:
    serving(world, 1, requestsPerMinute=6)
    world.state.since = NOW
    world.job("a")
    interval = interval_of(6, 1).total_seconds()
    assert world.decide(interval - 1.1) == []
    assert world.decide(interval - 0.9) == ["assign a to w0"]


@pytest.mark.parametrize(
    ("error", "after", "expected"),
    [
        ({"reason": "RateLimited"}, 1, ["assign b to w0"]),
        ({"reason": "RateLimited", "retryAfterSeconds": 30}, 29, []),
        ({"reason": "RateLimited", "retryAfterSeconds": 30}, 30, ["assign b to w0"]),
        ({"reason": "ProviderUnavailable", "retryAfterSeconds": 30}, 29, []),
        ({"reason": "ProviderUnavailable"}, 1, ["assign b to w0", "assign c to w0"]),
    ],
)
def test_pool_pauses_after_a_refusal_and_continues_with_one_image(
    world: World, error: Any, after: float, expected: list[str]
) -> None:
    serving(world, 1)
    world.processing("a", "w0", error={"message": "", "retryable": True, **error})
    world.job("a", attempts=1, losses=1, nextAttemptTime=at(900))
    world.job("b")
    world.job("c")
    world.lease(0, after)
    assert world.decide(after) == expected


def test_refusals_of_another_describer_or_an_older_version_do_not_count(world: World) -> None:
    serving(world, 1)
    world.processing("theirs", "x", spec={"describer": "other"}, **refused(900))
    world.job("a")
    assert "assign a to w0" in world.decide()
    world.processing("b", "w0", **refused(900))
    world.forget("imagejobs", "b")
    assert world.state.rate_limit("metadata").blocked_until > LONG_AGO
    world.observe("describers", "metadata", spec={"model": "another"})
    assert world.state.rate_limit("metadata").blocked_until == LONG_AGO


@pytest.mark.parametrize(("rate", "expected"), [(0, 4), (3, 1), (60, 2), (600, 4)])
def test_number_of_workers_is_limited_by_the_rate(world: World, rate: int, expected: int) -> None:
    """At 60 images per minute and 5 s per image, two workers process five images at a time."""
    serving(world, 0, requestsPerMinute=rate)
    for number in range(100):
        world.job(f"i{number:03}")
    world.record.load.measure(5)
    assert len(world.decide()) == expected


def refused(seconds: float = 30) -> dict[str, Any]:
    wait = {"retryable": True, "retryAfterSeconds": seconds}
    return {"error": {"reason": "RateLimited", "message": "", **wait}}


@pytest.mark.parametrize("cordoned", [False, True])
def test_job_of_a_hung_worker_does_not_use_up_the_concurrency_limit(
    world: World, *, cordoned: bool
) -> None:
    serving(world, 2)
    world.processing("r", "w1", **refused())
    world.forget("imagejobs", "r")
    world.processing("hangs", "w0", spec={"timeoutSeconds": 3600}, attemptDeadline=at(3600))
    world.job("waits")
    world.lease(1, 100)

    if cordoned:
        world.lease(0, 100)
        world.state.cordon("w0")

    assert "assign waits to w1" in world.decide(100)


def test_only_observed_successes_raise_the_concurrency_limit(world: World) -> None:
    serving(world, 1)
    world.processing("r", "w0", **refused())
    for _ in range(2):  # first when it is listed, then when it changes
        world.job("old", phase="done", worker="gone", attempts=1)

    assert world.state.rate_limit("metadata").concurrency_limit == 1
    world.processing("new", "w0")
    world.job("new", phase="done", worker="w0", attempts=1)
    assert world.state.rate_limit("metadata").concurrency_limit == 2


@pytest.mark.parametrize(("due", "pause"), [(20, 20), (3600, 60)])
def test_refusals_are_restored_after_a_restart(world: World, due: float, pause: float) -> None:
    """The operator reads refusals from waiting ImageJobs, and pauses for at most a minute."""
    serving(world, 1)
    world.job("r", attempts=1, losses=1, nextAttemptTime=at(due), **refused())
    world.job("a")
    world.job("b")
    world.lease(0, pause)
    assert world.decide(pause - 0.1) == []
    assert len([decision for decision in world.decide(pause) if "assign" in decision]) == 1


def test_recreated_describer_is_not_blocked(world: World) -> None:
    serving(world, 1)
    world.processing("r", "w0", **refused(3600))
    world.forget("describers", "metadata")
    assert world.state.rate_limit("metadata").blocked_until == LONG_AGO


def test_dedicated_workers_are_launched_at_the_rate_of_the_limit(world: World) -> None:
    serving(world, 0, requestsPerMinute=30, isolation="dedicated", maxWorkers=20)
    for number in range(100):
        world.job(f"i{number:03}")
    world.record.load.measure(5)
    assert len(world.decide()) == 4, "a worker runs for 8 s, and one is launched every 2 s"


def test_rate_limit_is_reported_while_images_wait(world: World) -> None:
    serving(world, 1, minWorkers=1)
    world.processing("a", "w0", **refused())
    world.job("a", attempts=1, losses=1, nextAttemptTime=at(30))
    ready = readiness(world, 10)
    assert (ready.status, ready.reason) == ("True", "RateLimited")
    assert f"until {NOW + timedelta(seconds=30):%H:%M:%S} UTC" in ready.message
    world.forget("imagejobs", "a")
    assert readiness(world, 20).reason == "Serving", "no image is waiting"
    world.job("b")
    assert readiness(world, 31).reason == "Serving", "the wait that the provider requested is over"


def readiness(world: World, after: float) -> Condition:
    world.lease(0, after)
    report = world.status_update(after)
    assert report
    found = report.status.readiness
    assert found
    return found
