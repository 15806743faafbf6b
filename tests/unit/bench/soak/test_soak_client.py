"""Tests of a soak test's clients against an HTTP API that misbehaves."""

import asyncio
import re

import pytest
from bench.errors import BenchError
from bench.soak import client as soak_client
from bench.soak import load
from bench.soak.client import NO_RESPONSE, Patience
from bench.soak.results import MAX_MESSAGES, Tally
from unit.bench.soak.soak_fakes import QUEUED, FakeApi, Reply, serving, until_true


async def test_all_images_are_counted_and_every_hundredth_result_is_checked() -> None:
    api = FakeApi()
    async with serving(api) as (client, tally):
        await load.run(client, range(1, 251), clients=8)

    assert tally == Tally(done=250, results_checked=3)
    assert (tally.missing, tally.problems, tally.acknowledged) == (0, 0, 250)
    assert api.requests["submit"] == 250
    assert 1 < api.most_at_once <= 8
    assert sorted(client.acknowledged.values()) == list(range(1, 251))
    assert all(b'filename="soak' in form for form in api.forms)
    assert b'name="describer"\r\n\r\nnothing\r\n' in api.forms[0]


@pytest.mark.parametrize(
    ("kind", "replies", "retries"),
    [
        ("submit", [(429, ""), (503, "")], {"429": 1, "503": 1}),
        ("submit", [(0, "")], {NO_RESPONSE: 1}),
        ("status", [(503, "")], {"503": 1}),
        ("status", [QUEUED, (200, '{"status": "processing"}')], {}),
        ("result", [(503, ""), (429, "")], {"503": 1, "429": 1}),
    ],
)
async def test_busy_api_is_asked_again(
    kind: str, replies: list[Reply], retries: dict[str, int]
) -> None:
    api = FakeApi({kind: list(replies)})
    async with serving(api) as (client, tally):
        await client.process(101)

    assert tally == Tally(done=1, results_checked=1, retries=retries)
    assert api.requests[kind] == len(replies) + 1


@pytest.mark.parametrize(
    ("kind", "reply", "outcome", "message"),
    [
        (
            "submit",
            (503, "full"),
            Tally(refused=1),
            "image 101: not accepted: .* 3 tries: 503 full",
        ),
        ("submit", (422, "no"), Tally(refused=1), "image 101: not accepted: 422 no"),
        ("submit", (202, "[]"), Tally(refused=1), "image 101: not accepted: 202"),
        ("submit", (202, "<html>"), Tally(refused=1), "image 101: not accepted: 202 <html>"),
        ("status", (404, "gone"), Tally(lost=1), "job j1: lost: 404 gone"),
        ("status", (503, "down"), Tally(unfinished=1), "job j1: GET /status/j1: gave up .* down"),
        ("status", (0, ""), Tally(unfinished=1), "job j1: GET /status/j1: gave up after 3 tries"),
        ("status", (500, "oh"), Tally(unfinished=1), "job j1: unfinished: 500 oh"),
        ("status", (200, '{"status": "failed"}'), Tally(failed=1), "job j1: failed: 200 .*failed"),
        (
            "result",
            (200, '{"_generated_by": "another"}'),
            Tally(done=1, results_checked=1, results_wrong=1),
            "job j1: its result is not from vision-node-gpt: 200 .*another",
        ),
        (
            "result",
            (410, "gone"),
            Tally(done=1, results_checked=1, results_wrong=1),
            "job j1: its result is not from vision-node-gpt: 410 gone",
        ),
    ],
)
async def test_each_problem_is_counted_once_with_its_reason(
    kind: str, reply: Reply, outcome: Tally, message: str
) -> None:
    async with serving(FakeApi(always={kind: reply})) as (client, tally):
        await client.process(101)

    (said,) = tally.messages
    assert re.match(message, said)
    counts = ("done", "failed", "lost", "unfinished", "refused", "results_checked", "results_wrong")
    assert [getattr(tally, name) for name in counts] == [getattr(outcome, name) for name in counts]
    assert tally.problems == 1


async def test_client_gives_up_on_a_job_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_client, "JOB_SECONDS", 0.05)
    async with serving(FakeApi(always={"status": QUEUED})) as (
        client,
        tally,
    ):
        await client.process(1)

    assert tally.unfinished == 1
    assert tally.messages == ["job j1: not finished after 0.05 s"]


async def test_load_stops_when_nothing_works() -> None:
    api = FakeApi(always={"submit": (422, "no")})
    async with serving(api) as (client, tally):
        with pytest.raises(
            BenchError, match=r"stopped after 101 problems\. The first:\nimage 1: not"
        ):
            await load.run(client, range(1, 10001), clients=4)

    assert tally.refused < 110
    assert len(tally.messages) == MAX_MESSAGES


async def test_cancelled_load_leaves_no_task_behind() -> None:
    api = FakeApi(always={"status": QUEUED})
    async with serving(api) as (client, _):
        before = asyncio.all_tasks()
        running = asyncio.create_task(load.run(client, range(1, 101), clients=4))
        await until_true(lambda: api.requests["status"] >= 4)

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        submitted = api.requests["submit"]
        ours = {task for task in asyncio.all_tasks() - before if "_process" in repr(task)}

    assert ours == set()
    assert api.requests["submit"] == submitted == 4


@pytest.mark.parametrize(
    ("repeated", "retry_after", "chance", "seconds"),
    [
        (0, 0, 0, 0.25),
        (0, 0, 1, 0.5),
        (3, 0, 1, 4),
        (9, 0, 1, 30),
        (0, 7, 0, 7),
        (0, 3600, 0, 30),
    ],
)
def test_delays_double_up_to_a_limit_and_respect_retry_after(
    repeated: int, retry_after: float, chance: float, seconds: float
) -> None:
    assert Patience().delay(repeated, retry_after, chance) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("5", 5), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-1", 0), ("", 0)],
)
def test_retry_after_is_read_in_seconds(header: str | None, seconds: float) -> None:
    assert soak_client._seconds(header) == seconds
