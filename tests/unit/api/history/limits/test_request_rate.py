"""Tests of the limit on requests per second: token buckets, headers and refusals."""

import httpx
import pytest
from acting_as import as_
from api_server import serving
from limited_api import FakeClock, Start
from vision_node_api.owner_limits import LimitsByOwner, OwnerLimits
from vision_node_api.web import rate_limit
from vision_node_api.web.rate_limit import RateLimiter, RatePolicy

POLICY = "ratelimit-policy"


def limiter_of(per_second: int, replicas: int, clock: FakeClock) -> RateLimiter:
    limits = LimitsByOwner(OwnerLimits(requests_per_second=per_second), replicas=replicas)
    return RateLimiter(limits, clock.monotonic)


@pytest.mark.parametrize(
    ("per_second", "replicas", "burst", "window"),
    [(50, 1, 100, 2), (50, 2, 50, 2), (50, 3, 33, 2), (1, 1, 2, 2), (1, 4, 1, 4), (1, 100, 1, 100)],
)
def test_each_replica_has_its_share(
    per_second: int, replicas: int, burst: int, window: int
) -> None:
    policy = RatePolicy.share(per_second, replicas)
    assert (policy.burst, policy.window_seconds) == (burst, window)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # Steps are (seconds, number of requests); expected are the numbers of those answered.
        ([(0, 25)], [20]),
        ([(0, 20), (0.05, 2), (0.1, 1)], [20, 0, 1]),
        ([(0, 20), (1, 12), (2, 30)], [20, 10, 20]),
        ([(3600, 21), (3600, 21)], [20, 20]),
        ([(0, 5), (0.5, 25)], [5, 20]),
    ],
)
def test_bucket_is_refilled_at_the_rate(
    clock: FakeClock, steps: list[tuple[float, int]], expected: list[int]
) -> None:
    limiter = limiter_of(10, 1, clock)
    answered = []
    for seconds, requests in steps:
        clock.advance(seconds)
        turns = [limiter.take("ann") for _ in range(requests)]
        answered.append(sum(turn.is_allowed for turn in turns if turn))

    assert answered == expected


def test_two_replicas_allow_the_rate_together(clock: FakeClock) -> None:
    replicas = [limiter_of(50, 2, clock) for _ in range(2)]
    allowed = 0
    for _ in range(1000):
        clock.advance(0.01)
        turns = [turn for it in replicas for _ in range(3) if (turn := it.take("ann"))]
        allowed += sum(turn.is_allowed for turn in turns)

    assert allowed == pytest.approx(10 * 50 + 100, abs=2)


def test_headers_say_what_remains_and_when_to_come_back(clock: FakeClock) -> None:
    limiter = limiter_of(50, 1, clock)
    turns = [limiter.take("ann") for _ in range(101)]
    headers = [dict(turn.headers)[b"ratelimit"].decode() for turn in turns if turn]

    assert [headers[at] for at in (0, 49, 99, 100)] == [
        '"default";r=99;t=1',
        '"default";r=50;t=1',
        '"default";r=0;t=1',
        '"default";r=0;t=1',
    ]
    slow = limiter_of(1, 10, clock)
    first, second = slow.take("ann"), slow.take("ann")
    assert first
    assert second
    assert (first.is_allowed, first.remaining, first.reset_seconds) == (True, 0, 10)
    assert (second.is_allowed, second.reset_seconds) == (False, 10)


def test_owners_do_not_share_a_bucket(clock: FakeClock) -> None:
    limiter = limiter_of(1, 1, clock)
    turns = [limiter.take(owner) for owner in ("ann", "ann", "ann", "bob")]
    assert [turn.is_allowed for turn in turns if turn] == [True, True, False, True]


def test_owner_that_was_silent_longest_is_forgotten(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "MAX_OWNERS", 2)
    limiter = limiter_of(1, 1, clock)
    for owner in ("ann", "ann", "bob", "bob", "ann", "eve"):
        limiter.take(owner)

    assert list(limiter._buckets) == ["ann", "eve"]


async def test_every_answer_has_the_headers(limited_api: Start) -> None:
    async with limited_api(OwnerLimits(requests_per_second=10)) as api:
        for path in ("/limits", "/status/job-x", "/nothing", "/jobs?limit=0"):
            answer = await api.client.get(path, headers=as_("ann"))
            assert answer.headers[POLICY] == '"default";q=20;w=2'
            assert answer.headers["ratelimit"].startswith('"default";r=1')


async def test_refusal_says_when_to_come_back(limited_api: Start) -> None:
    async with limited_api(OwnerLimits(requests_per_second=1)) as api:
        answers = [await api.client.get("/limits", headers=as_("ann")) for _ in range(3)]
        refused = answers[-1]
        assert [it.status_code for it in answers] == [200, 200, 429]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["ratelimit"] == '"default";r=0;t=1'
        assert refused.json()["reason"] == "RateLimited"
        assert refused.json()["instance"] == "/limits"

        assert (await api.client.get("/limits", headers=as_("bob"))).status_code == 200
        api.clock.advance(1)
        assert (await api.client.get("/limits", headers=as_("ann"))).status_code == 200
        assert 'vision_node_owner_limit_refusals_total{reason="RateLimited"} 1.0' in (
            api.app.state.metrics.text().decode()
        )


async def test_nothing_changes_without_authentication(limited_api: Start) -> None:
    async with limited_api(OwnerLimits(requests_per_second=1)) as api:
        answers = [await api.client.get("/limits") for _ in range(20)]
        assert {it.status_code for it in answers} == {200}
        assert POLICY not in answers[0].headers
        assert answers[0].json()["ownerLimits"] is None


async def test_owners_can_have_limits_of_their_own(limited_api: Start) -> None:
    own = OwnerLimits(requests_per_second=0, unfinished_jobs=7)
    async with limited_api(OwnerLimits(requests_per_second=1), ann=own) as api:
        answers = [await api.client.get("/limits", headers=as_("ann")) for _ in range(5)]
        assert {it.status_code for it in answers} == {200}
        assert answers[0].json()["ownerLimits"] == {
            "requestsPerSecond": None,
            "unfinishedJobs": 7,
            "bytesPerDay": None,
            "providerTokensPerDay": None,
        }


async def test_stream_counts_once(limited_api: Start) -> None:
    async with (
        limited_api(OwnerLimits(requests_per_second=1)) as api,
        serving(api.served) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=as_("ann")) as client,
        client.stream("GET", "/events") as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines)  # the stream has begun
        assert stream.headers["ratelimit"] == '"default";r=1;t=1'
        assert (await client.get("/limits")).status_code == 200
        assert (await client.get("/limits")).status_code == 429
