"""Tests of how a shard tells the problem of an image from that of its describer or bucket."""

import asyncio
from collections.abc import Callable

import pytest
from shard_world import Asking, World, away, key_of, refused, settings
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.shards import shard_run

ONE_BY_ONE = settings(concurrency=1)


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_run, "RETRY_SECONDS", (0.0, 0.0))


def describer_refuses(world: World, index: int, reason: Reason) -> None:
    world.describer.steps[str(index)] = [refused(reason)] * 9


def bucket_refuses(world: World, index: int, reason: Reason) -> None:
    world.bucket.errors[key_of(index)] = [away(reason)] * 9


Refuse = Callable[[World, int, Reason], None]

OF_ONE_IMAGE: dict[str, tuple[Refuse, Reason]] = {
    "403 of a firewall": (describer_refuses, Reason.CREDENTIALS_REFUSED),
    "404 for one request": (describer_refuses, Reason.MODEL_NOT_FOUND),
    "options": (describer_refuses, Reason.OPTIONS_INVALID),
    "5xx": (describer_refuses, Reason.PROVIDER_UNAVAILABLE),
    "timeout": (describer_refuses, Reason.ATTEMPT_TIMED_OUT),
    "archived object": (bucket_refuses, Reason.STORAGE_DENIED),
    "damaged object": (bucket_refuses, Reason.STORAGE_UNAVAILABLE),
}


@pytest.mark.parametrize("case", OF_ONE_IMAGE)
async def test_problem_of_one_image_fails_it_when_a_later_attempt_succeeds(case: str) -> None:
    refuse, reason = OF_ONE_IMAGE[case]
    world = World(Asking(), count=20, settings=ONE_BY_ONE)
    refuse(world, 2, reason)
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"], outcome.get("rest")) == (19, 1, None)
    assert world.results[2] == reason
    assert not {"stopped", "suspects"} & outcome.keys()

    tried = world.bucket.gets if refuse is bucket_refuses else world.describer.asked
    # All attempts may have been made during an outage, so there is another one after a success.
    is_outage = reason in {Reason.PROVIDER_UNAVAILABLE, Reason.ATTEMPT_TIMED_OUT}
    attempts = 4 if is_outage else 3
    assert tried.count(key_of(2) if refuse is bucket_refuses else "2") == attempts


async def test_brief_outage_fails_no_image() -> None:
    """All attempts at the first image are made during the outage."""
    world = World(Asking(), count=20, settings=ONE_BY_ONE)
    error = DescribeError(Reason.PROVIDER_UNAVAILABLE, "503")
    world.describer.steps["2"] = [error] * 3
    world.describer.steps["3"] = [error] * 2
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"]) == (20, 0)


@pytest.mark.parametrize("case", OF_ONE_IMAGE)
async def test_image_is_described_if_its_problem_passes(case: str) -> None:
    refuse, reason = OF_ONE_IMAGE[case]
    world = World(Asking(), count=20, settings=ONE_BY_ONE)
    refuse(world, 2, reason)
    problems = [*world.describer.steps.values(), *world.bucket.errors.values()]
    del problems[0][1:]
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"]) == (20, 0)


@pytest.mark.parametrize("case", OF_ONE_IMAGE)
async def test_problem_of_a_second_image_stops_the_shard(case: str) -> None:
    refuse, reason = OF_ONE_IMAGE[case]
    world = World(Asking(), count=20, settings=ONE_BY_ONE)
    for index in range(2, 20):
        refuse(world, index, reason)
    outcome = await world.run()
    assert (outcome["failed"], outcome.get("suspects")) == (0, None)
    assert outcome["rest"].endswith("-19"), "files are fetched ahead of the first descriptions"
    if refuse is describer_refuses:
        assert world.results == {0: "0", 1: "1"}
    expected = Reason.PROVIDER_UNAVAILABLE if reason is Reason.ATTEMPT_TIMED_OUT else reason
    assert outcome["stopped"]["reason"] == expected


@pytest.mark.parametrize("case", OF_ONE_IMAGE)
@pytest.mark.parametrize("done", [0, 2])
async def test_problem_of_the_last_image_stops_the_shard(case: str, done: int) -> None:
    """If the others have succeeded, the image is tried alone."""
    refuse, reason = OF_ONE_IMAGE[case]
    world = World(Asking(), count=done + 1, settings=ONE_BY_ONE)
    refuse(world, done, reason)
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"], outcome["rest"]) == (done, 0, str(done))
    assert outcome.get("suspects") == (str(done) if done else None)
    assert outcome["stopped"]["reason"] != Reason.ATTEMPT_TIMED_OUT
    assert f"image {done}: " in outcome["stopped"]["message"]


async def test_image_that_is_alone_and_fails_again_stops_its_shard() -> None:
    world = World(Asking(), count=1, first=3, alone=True)
    describer_refuses(world, 3, Reason.CREDENTIALS_REFUSED)
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"], outcome["rest"]) == (0, 0, "3")
    assert outcome["stopped"]["reason"] == "CredentialsRefused"
    assert "suspects" not in outcome


async def test_problems_with_the_bucket_and_with_the_provider_are_told_apart() -> None:
    world = World(Asking(), count=20, settings=ONE_BY_ONE)
    bucket_refuses(world, 2, Reason.STORAGE_DENIED)
    describer_refuses(world, 3, Reason.CREDENTIALS_REFUSED)
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"]) == (18, 2)
    assert (world.results[2], world.results[3]) == ("StorageDenied", "CredentialsRefused")


STOPPING = [
    Reason.CREDENTIALS_MISSING,
    Reason.DESCRIBER_NOT_FOUND,
    Reason.QUOTA_EXHAUSTED,
    Reason.RATE_LIMITED,
    Reason.STORAGE_FULL,
    Reason.CLOCK_SKEW,
    Reason.BUCKET_NOT_FOUND,
]


@pytest.mark.parametrize("reason", STOPPING)
async def test_problem_that_no_image_can_cause_stops_the_shard_at_once(reason: Reason) -> None:
    world = World(Asking(), count=20, settings=ONE_BY_ONE)
    describer_refuses(world, 2, reason)
    outcome = await world.run()
    assert world.results == {0: "0", 1: "1"}
    assert (outcome["rest"], outcome["stopped"]["reason"]) == ("2-19", reason)


class Outage(Asking):
    """Answers a number of times, and then no longer."""

    def __init__(self, answers: int, error: Exception | None) -> None:
        super().__init__()
        self.left = answers
        self.error = error

    async def ask(self, prepared: str, options: Options) -> Description:
        self.asked.append(prepared)
        self.left -= 1
        if self.left < 0:
            if self.error:
                raise self.error
            await asyncio.Future()
        return await super().ask(prepared, options)


OUTAGES: dict[str, Exception | None] = {
    "503": refused(Reason.PROVIDER_UNAVAILABLE),
    "black hole": None,
}


@pytest.mark.parametrize("case", OUTAGES)
async def test_outage_fails_no_image_that_was_fetched_before_it(case: str) -> None:
    """The images that wait for their turn have begun before the last success."""
    world = World(
        Outage(6, OUTAGES[case]),
        count=30,
        settings=settings(concurrency=2, timeout_seconds=0.3, max_attempts=2),
    )
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"], outcome["rest"]) == (6, 0, "6-29")
    assert outcome["stopped"]["reason"] == "ProviderUnavailable"
    if case == "black hole":
        assert "no description within 0.27 s" in outcome["stopped"]["message"]


async def test_success_that_began_before_the_failure_says_nothing_about_the_image() -> None:
    class Late(Asking):
        async def ask(self, prepared: str, options: Options) -> Description:
            if prepared == "1":
                failed.set()
                raise refused(Reason.CREDENTIALS_REFUSED)
            await failed.wait()
            return await super().ask(prepared, options)

    failed = asyncio.Event()
    world = World(Late(), count=2)
    outcome = await world.run()
    assert world.results == {0: "0"}
    assert (outcome["rest"], outcome["suspects"]) == ("1", "1")
