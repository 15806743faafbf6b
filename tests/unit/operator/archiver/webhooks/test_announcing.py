"""Archiving a job or a batch with a callback adds exactly one message."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from history_database import image_row, job_row, open_database, rows_of, uid_of
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.history.records import JobRow
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_operator.archiver.history.store import HistoryStore
from webhook_place import WebhookPlace

URL = "https://hooks.example.com/x"


def batch(phase: str = "done", **spec: Any) -> ImageBatch:
    labels = {"vision-node.dev/owner": "ann"}
    return ImageBatch.model_validate(
        {
            "metadata": {"name": "b", "uid": uid_of(9), "labels": labels},
            "spec": {"prefix": "x/", "callbackURL": URL, **spec},
            "status": {"phase": phase, "completionTime": "2026-01-01T00:00:00Z"},
        }
    )


async def test_archived_job_has_one_message(place: WebhookPlace) -> None:
    await place.add([1], URL, owner="ann", phase="failed", reason="ImageUnreadable")

    (row,) = place.rows()
    expected = {"uid": UUID(uid_of(1)), "is_batch": False, "owner": "ann", "url": URL}
    expected |= {"host": "hooks.example.com", "event": "imagejob.failed", "state": "pending"}
    expected |= {"attempts": 0, "last_error": None, "claimed_until": None, "delivered_at": None}
    assert row | expected == row
    assert place.announced == 1


async def test_job_without_a_callback_has_no_message(place: WebhookPlace) -> None:
    await place.store.add_jobs(rows_of(1, 2), 1)
    assert place.rows() == []
    assert place.announced == 0


async def test_repeated_archiving_adds_no_further_message(place: WebhookPlace) -> None:
    await place.add([1, 2], URL)
    before = place.rows()
    await place.add([1, 2], "https://other.example.com/")

    async with open_database(place.url) as database:
        other = HistoryStore(database)
        other.on_announced = lambda: None
        pairs = [(image_row(it), job_row(it, callback_url=URL)) for it in (1, 2)]
        await asyncio.gather(*(it.add_jobs(pairs, 1) for it in (other, place.store) * 3))

    assert place.rows() == before


async def test_message_keeps_its_id_after_a_restore(place: WebhookPlace) -> None:
    await place.add([1], URL)
    (before,) = place.rows("id")
    place.execute("DELETE FROM deliveries")
    await place.add([1], URL)
    assert place.rows("id") == [before]


async def test_deleted_job_has_no_message(place: WebhookPlace) -> None:
    await place.store.add_tombstones([uid_of(1)])
    await place.add([1, 2], URL)
    assert [it["uid"] for it in place.rows()] == [UUID(uid_of(2))]

    await place.store.delete_jobs([uid_of(2)])
    assert place.rows() == []


async def test_text_that_postgresql_refuses_is_cleaned(place: WebhookPlace) -> None:
    await place.add([1], f"{URL}\0")
    (row,) = place.rows()
    assert row["url"] == f"{URL}\ufffd"


async def test_release_without_webhooks_adds_none(place: WebhookPlace) -> None:
    place.store.on_announced = None
    await place.add([1], URL)
    await place.store.add_batch(batch(), "{}")
    assert place.rows() == []


async def test_batch_has_one_message_once_it_is_finished(place: WebhookPlace) -> None:
    await place.store.add_batch(batch("processing"), "{}")
    assert place.rows() == []

    for _ in range(3):
        await place.store.add_batch(batch("failed"), json.dumps({"spec": {}}))
    (row,) = place.rows()
    assert (row["is_batch"], row["event"], row["owner"]) == (True, "imagebatch.failed", "ann")

    assert await place.store.delete_batch_images(uid_of(9), 10) == 0
    assert place.rows() == []


async def test_batch_without_a_callback_has_no_message(place: WebhookPlace) -> None:
    await place.store.add_batch(batch(callbackURL=None), "{}")
    assert place.rows() == []


@pytest.mark.parametrize("url", [None, URL])
def test_row_of_a_job_has_its_callback(url: str | None) -> None:
    spec: dict[str, Any] = {"image": {"key": "k"}, "callbackURL": url}
    job = ImageJob.model_validate({"metadata": {"name": "j", "uid": uid_of(1)}, "spec": spec})
    now = job_row(1).finished_at
    assert JobRow.of(job, BucketFolders("aaaabbbbcccc"), now, in_row=True).callback_url == url
