"""Owners take turns when messages are claimed, however many are due."""

from collections import Counter

import pytest
from history_database import SCHEMA, open_database, row_count
from psycopg import AsyncConnection
from vision_node_contract.history.database import Database, DatabaseSettings, Limits
from vision_node_operator.archiver.webhooks import due
from vision_node_operator.archiver.webhooks.claims import Claim
from vision_node_operator.archiver.webhooks.deliverer import MAX_RUNNING
from vision_node_operator.archiver.webhooks.deliveries import Deliveries
from vision_node_operator.archiver.webhooks.turns import PER_OWNER, Place
from webhook_place import WebhookPlace

DUE = 100_000

FILL = f"""
INSERT INTO deliveries (id, uid, is_batch, owner, host, url, event)
    SELECT gen_random_uuid(), gen_random_uuid(), false, 'anna', 'h' || n % 1000,
        'https://h.example.com/', 'imagejob.done'
    FROM generate_series(1, {DUE}) AS n;
"""  # noqa: S608 (no input)

MOST_READ = 20_000
"""Maximum number of entries of indexes that a claim reads: a fifth of what is due. It looks at 256
hosts, and at eight messages of each, and finds again what it has found."""


def owners_of(claims: list[Claim]) -> dict[str, int]:
    return dict(Counter(it.place.owner for it in claims))


async def entries_read(database: Database) -> int:
    """Return how many entries of indexes and rows of the table were read so far."""

    async def flush(connection: AsyncConnection) -> None:
        await connection.execute("SELECT pg_stat_force_next_flush()")

    await database.run(flush)
    return await row_count(
        database,
        "(SELECT 1 FROM pg_stat_user_indexes, generate_series(1, idx_tup_read)"
        " WHERE relname = 'deliveries' UNION ALL"
        " SELECT 1 FROM pg_stat_user_tables, generate_series(1, seq_tup_read)"
        " WHERE relname = 'deliveries') AS found",
    )


@pytest.mark.parametrize("is_analyzed", [True, False])
async def test_owner_with_many_due_messages_delays_no_other(
    place: WebhookPlace, *, is_analyzed: bool
) -> None:
    """Whether the planner knows how many rows there are, or not."""
    place.execute(FILL)
    if is_analyzed:
        place.execute("ANALYZE deliveries")
    await place.add([1], "https://one.example.com/", owner="ben")
    await place.add(range(2, 7), "https://five.example.com/", owner="carol")

    settings, limits = DatabaseSettings(place.url), Limits(connections=1)
    async with Database.open(settings, SCHEMA, limits) as database:
        deliveries = Deliveries(database)
        before = await entries_read(database)
        claims = await deliveries.claim({}, MAX_RUNNING)
        read = await entries_read(database) - before

    assert owners_of(claims) == {"anna": PER_OWNER, "ben": 1, "carol": 5}
    assert 0 < read < MOST_READ
    assert all(it.body for it in claims if it.place.owner != "anna")


async def test_free_attempts_are_shared_among_owners(place: WebhookPlace) -> None:
    place.execute(FILL.replace(str(DUE), "1000"))
    for number, owner in enumerate(("ben", "carol", "")):
        numbers = range(number * 50 + 1, number * 50 + 51)
        await place.add(numbers, f"https://h{number}.example.com/", owner=owner)

    async with open_database(place.url) as database:
        deliveries = Deliveries(database)
        first = await deliveries.claim({}, 8)
        assert owners_of(first) == {"anna": 2, "ben": 2, "carol": 2, "": 2}

        running = Counter(it.place for it in first)
        running[Place("anna", "h0")] += 6
        assert owners_of(await deliveries.claim(running, 3)) == {"ben": 1, "carol": 1, "": 1}


async def test_each_owner_continues_with_its_next_host(place: WebhookPlace) -> None:
    place.execute(FILL.replace(str(DUE), "1000"))
    await place.add(range(1, 4), "https://one.example.com/", owner="ben")

    async with open_database(place.url) as database:
        deliveries = Deliveries(database)
        claims = [it for _ in range(6) for it in await deliveries.claim({}, 2)]

    of_anna = [it.place.host for it in claims if it.place.owner == "anna"]
    assert len(of_anna) == len(set(of_anna)) == 12 - 3
    assert owners_of(claims)["ben"] == 3


async def test_all_owners_have_their_turn(
    place: WebhookPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "OWNERS_AT_ONCE", 3)
    monkeypatch.setattr("vision_node_operator.archiver.webhooks.deliveries.OWNERS_AT_ONCE", 3)
    owners = ["", *(f"o{it}" for it in range(9))]
    for number, owner in enumerate(owners, 1):
        await place.add([number], "https://a.example.com/", owner=owner)

    async with open_database(place.url) as database:
        deliveries, found, rounds = Deliveries(database), list[Claim](), 0
        while rounds == 0 or deliveries.has_more:
            found += await deliveries.claim({}, 64)
            rounds += 1
            assert rounds < 10, "it goes on without an end"

    assert sorted(it.place.owner for it in found) == owners


async def test_owners_that_take_each_attempt_starve_no_other(place: WebhookPlace) -> None:
    """With one free attempt at a time, each owner gets every third one."""
    for number, owner in enumerate("abc"):
        numbers = range(number * 20 + 1, number * 20 + 21)
        await place.add(numbers, f"https://h{number}.example.com/", owner=owner)

    async with open_database(place.url) as database:
        deliveries, order = Deliveries(database), ""
        for _ in range(9):
            order += "".join(it.place.owner for it in await deliveries.claim({}, 1))
    assert order == "abcabcabc"


async def test_two_archivers_claim_different_messages(place: WebhookPlace) -> None:
    await place.add(range(1, 9), "https://a.example.com/", owner="anna")
    async with open_database(place.url) as database:
        one, other = Deliveries(database), Deliveries(database)
        claims = [*await one.claim({}, 4), *await other.claim({}, 64)]
    assert len({it.id for it in claims}) == len(claims) == 8
