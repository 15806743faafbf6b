"""Tests of archiving while the bucket, which has some of the results, is silent."""

import asyncio
import hashlib
import json

import pytest
from archive_place import RESULTS, Place
from archiver_helpers import until
from vision_node_operator.archiver.jobs.archive_queue import ArchiveQueue
from vision_node_operator.archiver.jobs.live_jobs import LiveJob


def create_stored(place: Place, name: str) -> str:
    """Create a finished ImageJob whose result is in the bucket; return the result's key."""
    data = json.dumps({"description": "Image Description: words."}).encode()
    key = f"{RESULTS}{place.api.create(name)}/1"
    place.s3.put(key, data)
    place.api.finish(name, key=key, sha256=hashlib.sha256(data).hexdigest(), sizeBytes=len(data))
    return key


async def test_silent_bucket_holds_up_no_jobs_with_inline_results(place: Place) -> None:
    keys = {create_stored(place, f"stored{number}") for number in range(2)}
    place.create_done("inline0")
    answers = asyncio.Event()

    async def wait(key: str) -> None:
        if key in keys:
            await answers.wait()

    place.s3.before_get = wait
    async with place.archiver() as jobs:
        for number in range(1, 4):
            await until(lambda: len(place.names) == number)  # noqa: B023 (awaited)
            place.create_done(f"inline{number}")
        await until(lambda: len(place.names) == 4)
        assert not [name for name in place.names if name.startswith("stored")]
        await until(lambda: len(jobs.archiver.queue) == 2)

        answers.set()
        await until(lambda: len(place.names) == 6)

    assert place.rows("SELECT count(*) FROM images WHERE result IS NOT NULL") == [(6,)]


@pytest.mark.parametrize("has_stored_result", [False, True])
def test_queue_forgets_deleted_jobs_of_both_kinds(*, has_stored_result: bool) -> None:
    queue = ArchiveQueue()
    jobs = [
        LiveJob(f"u{number}", f"j{number}", 1, None, has_stored_result=has_stored_result)
        for number in range(3)
    ]
    for job in jobs:
        queue.offer(job, None, may_be_archived=False)
    queue.remove("u1")
    assert queue.uids() == ["u0", "u2"]
    assert not queue.take(is_stored=not has_stored_result)

    taken = queue.take(is_stored=has_stored_result)
    assert queue.in_flight == {"u0", "u2"}
    queue.done(["u0"])
    queue.give_back(taken)
    assert [it.uid for it in queue.take(is_stored=has_stored_result)] == ["u2"]
