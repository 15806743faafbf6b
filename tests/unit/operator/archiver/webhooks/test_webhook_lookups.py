"""Names that can't be resolved, because their name servers are silent, hold up no others."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
from archiver_helpers import until
from fakes.receivers import receiving
from vision_node_contract.callbacks.addresses import Address
from vision_node_operator.archiver.webhooks import sender
from vision_node_operator.archiver.webhooks.deliverer import MAX_RUNNING
from vision_node_operator.archiver.webhooks.lookups import MAX_LOOKUPS, Lookups
from vision_node_operator.archiver.webhooks.turns import PER_OWNER, Place
from webhook_place import WebhookPlace

LOOPBACK = ip_address("127.0.0.1")
PLACE = Place("anna", "a.example.com")


@dataclass
class Resolver:
    """Does not answer for names that begin with `silent` before it is released."""

    asked: Counter[str] = field(default_factory=Counter)
    answers: threading.Event = field(default_factory=threading.Event)

    def __call__(self, name: str) -> Sequence[Address]:
        self.asked[name] += 1
        if name.startswith("silent"):
            self.answers.wait(60)
        if name.startswith("unknown"):
            raise OSError(name)
        return [LOOPBACK]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    found = Resolver()
    yield found
    found.answers.set()


@pytest.fixture
def many_threads(resolver: Resolver) -> Iterator[ThreadPoolExecutor]:
    """As many threads as the archiver has."""
    with ThreadPoolExecutor(MAX_LOOKUPS) as pool:
        yield pool
        resolver.answers.set()


async def test_attempts_at_the_same_time_share_one_lookup(
    resolver: Resolver, threads: ThreadPoolExecutor
) -> None:
    lookups = Lookups(threads, resolver)
    waiting = [asyncio.create_task(lookups.addresses_of("silent", PLACE)) for _ in range(5)]
    await until(lambda: bool(resolver.asked))
    assert lookups.hanging == Counter()
    resolver.answers.set()
    assert await asyncio.gather(*waiting) == [[LOOPBACK]] * 5
    assert resolver.asked == {"silent": 1}

    assert await lookups.addresses_of("silent", PLACE) == [LOOPBACK]
    assert resolver.asked == {"silent": 2}, "nothing is kept"


async def test_lookup_that_hangs_is_not_begun_again(
    resolver: Resolver, threads: ThreadPoolExecutor
) -> None:
    lookups = Lookups(threads, resolver)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lookups.addresses_of("silent", PLACE)
        assert lookups.hanging == {PLACE: 1}
    assert resolver.asked == {"silent": 1}

    assert await lookups.addresses_of("quick", PLACE) == [LOOPBACK]
    later = asyncio.create_task(lookups.addresses_of("silent", Place("ben", "b")))
    resolver.answers.set()
    assert await later == [LOOPBACK]
    assert lookups.hanging == Counter()
    assert resolver.asked == {"silent": 1, "quick": 1}


async def test_error_is_that_of_all_who_wait(
    resolver: Resolver, threads: ThreadPoolExecutor
) -> None:
    lookups = Lookups(threads, resolver)
    calls = [lookups.addresses_of("unknown", PLACE) for _ in range(3)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(it) for it in errors] == [OSError] * 3
    assert lookups.hanging == Counter()


async def test_lookup_that_has_no_thread_yet_ends_with_its_attempt(resolver: Resolver) -> None:
    with ThreadPoolExecutor(1) as threads:
        lookups = Lookups(threads, resolver)
        first = asyncio.create_task(lookups.addresses_of("silent-1", PLACE))
        await until(lambda: bool(resolver.asked))
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await lookups.addresses_of("quick", PLACE)
            assert lookups.hanging == Counter()

        resolver.answers.set()
        assert await first == [LOOPBACK]
        assert await lookups.addresses_of("quick", PLACE) == [LOOPBACK]
    assert resolver.asked["quick"] == 1


async def test_owner_whose_names_hang_delays_no_other(
    place: WebhookPlace,
    resolver: Resolver,
    many_threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The attempts end, but their lookups go on, and count as attempts of their owner."""
    monkeypatch.setattr(sender, "TOTAL_SECONDS", 0.3)
    place.threads = many_threads
    for number in range(1, MAX_RUNNING + 41):
        await place.add([number], f"http://silent-{number}.example.com/", owner="anna")

    async with receiving() as receiver, place.deliverer(lookup=resolver) as deliverer:
        await until(lambda: len(resolver.asked) == PER_OWNER)
        await until(lambda: deliverer.counts.retried == PER_OWNER)
        url = f"http://quick.example.com:{receiver.port}/"
        await place.add(range(200, 205), url, owner="ben")
        await until(lambda: len(receiver.received) == 5)
        assert resolver.asked.total() <= PER_OWNER + 5, "anna's other names wait"

        resolver.answers.set()
        await until(lambda: len(resolver.asked) > MAX_RUNNING)
