"""Each message arrives, usually once, and no receiver delays the messages to others."""

import asyncio
import base64
import json
from collections import Counter
from datetime import timedelta
from functools import partial
from ipaddress import ip_address

import pytest
from archiver_helpers import until
from fakes.receivers import Receiver, receiving, verified
from history_database import open_database, uid_of
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.webhooks import deliverer as deliverer_module
from vision_node_operator.archiver.webhooks import due
from vision_node_operator.archiver.webhooks.deliverer import MAX_RUNNING
from vision_node_operator.archiver.webhooks.deliveries import Attempt, Deliveries
from vision_node_operator.archiver.webhooks.turns import PER_HOST, PER_OWNER, Place
from webhook_place import SECRET, WebhookPlace

LOOPBACK = ip_address("127.0.0.1")
OTHER_SECRET = "whsec_" + base64.b64encode(b"b" * 32).decode()


def has_received(receiver: Receiver, number: int) -> bool:
    return len(receiver.received) == number


async def test_message_is_delivered_and_recorded(place: WebhookPlace) -> None:
    async with receiving() as receiver, place.deliverer() as deliverer:
        await place.add([1], f"{receiver.base}/hook")
        await until(lambda: place.states() == ["delivered"])
        await until(lambda: deliverer.counts.backlog.count == 0)

    (found,) = receiver.received
    (row,) = place.rows()
    assert found.id == str(row["id"])
    assert (row["attempts"], row["last_status"], row["last_error"]) == (1, 204, None)
    assert row["delivered_at"]
    message = json.loads(found.body)
    assert message["type"] == "imagejob.done"
    assert message["data"]["job_id"] == "job-1"
    assert message["data"]["result"]["_generated_by"] == "vision-node-gpt"
    assert deliverer.counts.delivered == 1
    assert verified(found, SECRET)
    assert not verified(found, OTHER_SECRET)


async def test_message_about_a_batch_is_delivered(place: WebhookPlace) -> None:
    async with receiving() as receiver:
        body = {
            "metadata": {"name": "b", "uid": uid_of(9)},
            "spec": {"prefix": "x/", "callbackURL": f"{receiver.base}/"},
            "status": {"phase": "done", "completionTime": "2026-01-01T00:00:00Z"},
        }
        await place.store.add_batch(ImageBatch.model_validate(body), json.dumps(body))
        async with place.deliverer():
            await until(lambda: place.states() == ["delivered"])

    message = json.loads(receiver.received[0].body)
    assert (message["type"], message["data"]["name"]) == ("imagebatch.done", "b")


async def test_times_are_in_utc_whatever_the_database_says(
    place: WebhookPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Europe/Berlin")
    async with receiving() as receiver, place.deliverer():
        await place.add([1], f"{receiver.base}/")
        await until(lambda: place.states() == ["delivered"])

    message = json.loads(receiver.received[0].body)
    assert message["timestamp"].endswith("Z")
    assert message["data"]["expires_at"].endswith("Z")


async def test_failed_message_is_sent_again_with_the_same_id_and_body(
    place: WebhookPlace,
) -> None:
    async with receiving() as receiver, place.deliverer() as deliverer:
        receiver.status = 500
        await place.add([1], f"{receiver.base}/")
        await until(lambda: bool(place.rows(where="last_status = 500")))
        (row,) = place.rows("*, next_attempt_at - now() AS pause")
        receiver.status = 200
        place.make_due()
        await until(lambda: place.states() == ["delivered"])

    assert row["state"] == "pending"
    assert row["claimed_until"] is None
    assert row["last_error"] == "ReceiverRefused: The receiver answered with status 500."
    assert "secret" not in row["last_error"]
    assert timedelta(seconds=1) < row["pause"] < timedelta(seconds=6)
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert verified(second, SECRET)
    assert (deliverer.counts.retried, deliverer.counts.delivered) == (1, 1)


@pytest.mark.parametrize("status", [410, 500])
async def test_message_is_given_up(place: WebhookPlace, status: int) -> None:
    """At once if the receiver is gone, and otherwise when it is too old."""
    async with receiving() as receiver:
        receiver.status = status
        await place.add([1], f"{receiver.base}/")
        max_age = timedelta(hours=72 if status == 410 else 0)
        async with place.deliverer(max_age=max_age) as deliverer:
            await until(lambda: place.states() == ["failed"])

    assert len(receiver.received) == 1
    assert deliverer.counts.failed == 1


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "no url", "https://a@example.com/"])
async def test_url_that_is_not_allowed_is_given_up(place: WebhookPlace, url: str) -> None:
    """Kubectl users can store any URL."""
    await place.add([1], url)
    async with place.deliverer():
        await until(lambda: place.states() == ["failed"])
    assert place.rows("last_error")[0]["last_error"].startswith("CallbackURLNotAllowed: ")


@pytest.mark.parametrize("body", ["{}", "no JSON", '{"metadata":{}}'])
async def test_unreadable_row_is_given_up(place: WebhookPlace, body: str) -> None:
    async with receiving() as receiver:
        await place.add([1], f"{receiver.base}/", body=body)
        await place.add([2], f"{receiver.base}/")
        async with place.deliverer():
            await until(lambda: place.states() == ["failed", "delivered"])
    assert len(receiver.received) == 1


async def test_large_result_is_omitted(place: WebhookPlace) -> None:
    async with receiving() as receiver:
        await place.add([1], f"{receiver.base}/", result=json.dumps({"text": "x" * 70_000}))
        async with place.deliverer():
            await until(lambda: place.states() == ["delivered"])
    data = json.loads(receiver.received[0].body)["data"]
    assert (data["result"], data["result_omitted"]) == (None, True)


async def test_hanging_receiver_delays_no_other(place: WebhookPlace) -> None:
    async with receiving() as hanging, receiving() as quick, place.deliverer():
        hanging.answers.clear()
        await place.add(range(1, 41), f"{hanging.base}/")
        await until(lambda: len(hanging.received) == PER_HOST)
        await place.add(range(41, 61), f"{quick.base}/")
        await until(lambda: len(quick.received) == 20)
        await until(lambda: place.states()[40:] == ["delivered"] * 20)

        assert set(place.states()[:40]) == {"pending"}
        assert hanging.most_open == PER_HOST
        hanging.answers.set()
        await until(lambda: set(place.states()) == {"delivered"})

    assert len(set(hanging.ids)) == len(hanging.ids) == 40


async def test_number_of_attempts_is_bounded(place: WebhookPlace) -> None:
    """Many names of one receiver count as many hosts."""
    async with receiving() as hanging:
        hanging.answers.clear()
        for name in range(12):
            url = f"http://h{name}.example.com:{hanging.port}/"
            await place.add(range(name * 10 + 1, name * 10 + 11), url)

        async with place.deliverer(lookup=lambda _: [LOOPBACK]):
            await until(lambda: len(hanging.received) == PER_OWNER)
            await asyncio.sleep(0.2)
            assert hanging.most_open == PER_OWNER

            for number in range(2):
                url = f"http://other{number}.example.com:{hanging.port}/"
                numbers = range(200 + number * 20, 220 + number * 20)
                await place.add(numbers, url, owner=f"owner-{number}")
            await until(lambda: len(hanging.received) == MAX_RUNNING)
            await asyncio.sleep(0.2)
            assert hanging.most_open == MAX_RUNNING
            hanging.answers.set()
            await until(lambda: set(place.states()) == {"delivered"})


async def test_two_deliverers_send_each_message_once(place: WebhookPlace) -> None:
    async with receiving() as receiver:
        await place.add(range(1, 81), f"{receiver.base}/")
        async with place.deliverer(), place.deliverer():
            await until(lambda: set(place.states()) == {"delivered"})
    assert len(receiver.received) == len(set(receiver.ids)) == 80


async def test_crash_after_sending_sends_the_same_message_again(place: WebhookPlace) -> None:
    async with receiving() as receiver:
        receiver.answers.clear()
        await place.add([1], f"{receiver.base}/")
        async with place.deliverer():
            await until(lambda: len(receiver.received) == 1)

        receiver.answers.set()
        assert place.states() == ["pending"]
        async with place.deliverer() as deliverer:
            await until(lambda: deliverer.counts.backlog.count == 1)
            assert len(receiver.received) == 1, "the claim is still valid"
            place.end_leases()
            await until(lambda: place.states() == ["delivered"])

    assert len(receiver.received) == 2
    assert len(set(receiver.ids)) == 1
    assert place.rows("attempts") == [{"attempts": 2}]


async def test_attempt_that_ends_after_sigterm_is_recorded(
    place: WebhookPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each upgrade of the release ends the process, and must not repeat messages."""
    monkeypatch.setattr(deliverer_module, "FINISH_SECONDS", 10.0)
    async with receiving() as receiver:
        receiver.answers.clear()
        await place.add([1], f"{receiver.base}/")
        async with place.deliverer():
            await until(lambda: len(receiver.received) == 1)
            asyncio.get_running_loop().call_later(0.2, receiver.answers.set)

    assert place.states() == ["delivered"]


async def test_outage_of_the_table_loses_nothing_and_delays_nothing_else(
    place: WebhookPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """The outcome is recorded, and further messages are sent, once it is back."""
    async with receiving() as receiver, place.deliverer():
        receiver.answers.clear()
        await place.add([1, 2], f"{receiver.base}/")
        await until(lambda: len(receiver.received) == 2)
        place.execute("ALTER TABLE deliveries RENAME TO away")
        receiver.answers.set()
        await until(lambda: "messages to callbacks wait for the database" in caplog.text)

        place.execute("ALTER TABLE away RENAME TO deliveries")
        await place.add([3], f"{receiver.base}/")
        await until(lambda: place.states() == ["delivered"] * 3)

    assert len(receiver.received) == 3
    assert place.rows("attempts") == [{"attempts": 1}] * 3


async def test_secret_is_rotated_without_a_restart(place: WebhookPlace) -> None:
    async with receiving() as receiver, place.deliverer():
        for number, secrets in enumerate(((SECRET,), (OTHER_SECRET, SECRET), (OTHER_SECRET,)), 1):
            place.set_secret(*secrets)
            await place.add([number], f"{receiver.base}/")
            await until(partial(has_received, receiver, number))

    found = [[verified(it, key) for key in (SECRET, OTHER_SECRET)] for it in receiver.received]
    assert found == [[True, False], [True, True], [False, True]]


async def test_messages_wait_for_a_valid_secret(
    place: WebhookPlace, caplog: pytest.LogCaptureFixture
) -> None:
    place.set_secret("whsec_broken")
    async with receiving() as receiver, place.deliverer() as deliverer:
        await place.add([1], f"{receiver.base}/")
        await until(lambda: deliverer.counts.backlog.count == 1)
        await until(lambda: "no message is sent" in caplog.text)
        assert place.rows("attempts") == [{"attempts": 0}]

        place.set_secret(SECRET)
        await until(lambda: place.states() == ["delivered"])

    assert "broken" not in caplog.text
    assert caplog.text.count("no message is sent") == 1


async def test_unreadable_secret_stops_nothing_else(
    place: WebhookPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """The archiver does all its work in one process."""
    place.set_secret(None)
    (place.folder / "secret").mkdir()  # not readable, even for root
    async with receiving() as receiver, place.deliverer():
        await place.add([1], f"{receiver.base}/")
        await until(lambda: "can't be read: Is a directory" in caplog.text)
        (place.folder / "secret").rmdir()
        place.set_secret(SECRET)
        await until(lambda: place.states() == ["delivered"])


async def test_job_that_is_deleted_meanwhile_is_not_announced(place: WebhookPlace) -> None:
    async with receiving() as receiver, place.deliverer():
        receiver.status = 500
        await place.add([1], f"{receiver.base}/")
        await until(lambda: bool(place.rows(where="last_status = 500")))
        await place.store.delete_jobs([uid_of(1)])
        place.make_due()
        await place.add([2], f"{receiver.base}/")
        await until(lambda: len(receiver.received) == 2)
    assert len({it.id for it in receiver.received}) == 2


async def test_late_record_of_a_failure_changes_nothing(place: WebhookPlace) -> None:
    """Another archiver has claimed the message meanwhile."""
    await place.add([1], "https://example.com/")
    async with open_database(place.url) as database:
        one, other = Deliveries(database), Deliveries(database)
        (first,) = await one.claim({}, 10)
        assert await other.claim({}, 10) == []
        place.end_leases()
        (second,) = await other.claim({}, 10)
        assert (first.id, first.attempts, second.attempts) == (second.id, 1, 2)

        await one.record([Attempt(first.id, 1, "failed", error="late")])
        assert place.states() == ["pending"]
        await one.record([Attempt(first.id, 1, "delivered", status=200)])
        assert place.states() == ["delivered"]
        await other.record([Attempt(second.id, 2, "failed", error="later")])
        assert place.states() == ["delivered"], "what is delivered stays so"


async def test_all_hosts_have_their_turn(
    place: WebhookPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "HOSTS_AT_ONCE", 3)
    for number in range(1, 11):
        await place.add([number], f"https://h{number:02}.example.com/")

    async with open_database(place.url) as database:
        deliveries = Deliveries(database)
        turns = [[it.place.host for it in await deliveries.claim({}, 10)] for _ in range(5)]
        assert [len(it) for it in turns] == [3, 3, 3, 1, 0]
        assert len({host for turn in turns for host in turn}) == 10


async def test_hosts_that_fill_all_attempts_starve_no_other(place: WebhookPlace) -> None:
    """Whenever one of their attempts ends, the next host has its turn, not the first one."""
    names = [f"h{it}.example.com" for it in range(PER_OWNER // PER_HOST)]
    for number, name in enumerate(names):
        await place.add(range(number * 20 + 1, number * 20 + 21), f"https://{name}/")
    await place.add([999], "https://z.example.com/")

    async with open_database(place.url) as database:
        deliveries = Deliveries(database)
        running = Counter(it.place for it in await deliveries.claim({}, MAX_RUNNING))
        assert running == dict.fromkeys((Place("", it) for it in names), PER_HOST)

        found = []
        for name in names:
            claims = await deliveries.claim(running - Counter([Place("", name)]), 1)
            found += [it.place.host for it in claims]
            assert claims or deliveries.has_more, "the next claim begins with the first host"
        assert "z.example.com" in found
        assert len(found) >= len(names) - 1, "no attempt is left unused for long"


async def test_busy_host_gets_only_what_is_left(place: WebhookPlace) -> None:
    await place.add(range(1, 31), "https://a.example.com/")
    await place.add(range(31, 35), "https://b.example.com/")
    async with open_database(place.url) as database:
        deliveries = Deliveries(database)
        busy = Place("", "a.example.com")
        found = await deliveries.claim({busy: PER_HOST - 2}, 64)
        assert [it.place.host[0] for it in found].count("a") == 2
        assert len(found) == 6
        assert await deliveries.claim({busy: PER_HOST}, 64) == []
