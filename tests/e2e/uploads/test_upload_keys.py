"""Tests of uploads that are repeated with the same Idempotency-Key."""

import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from batches.batch import Batches

from uploads.image_sizes import described, sizes
from uploads.pictures_to_upload import drawn
from uploads.upload_requests import accepted, post_files, post_form, post_json, refused_with

IMAGES = drawn(12)

REQUESTS = 3
"""Number of simultaneous requests with the same key."""


@pytest.fixture
def key() -> str:
    """A new Idempotency-Key."""
    return f"key-{random.SystemRandom().getrandbits(64):x}"


@pytest.mark.parametrize("kind", ["form", "zip"])
def test_repeated_upload_returns_the_same_batch(
    api: httpx.Client, batches: Batches, key: str, kind: str
) -> None:
    """The name of the batch is derived from the key."""
    first = accepted(post_files(api, kind, list(IMAGES.items()), key))
    stored = uploaded(batches, first["uid"])
    again = accepted(post_files(api, kind, list(IMAGES.items()), key))
    assert (again["name"], again["uid"]) == (first["name"], first["uid"])

    batches.wait(first["name"], "Complete")
    later = accepted(post_files(api, kind, list(IMAGES.items()), key))
    assert (later["uid"], later["status"]) == (first["uid"], "done")
    assert uploaded(batches, first["uid"]) == stored != []
    assert described(batches.lines(first["name"])) == sizes(IMAGES)


def test_simultaneous_uploads_become_one_batch(
    api: httpx.Client, batches: Batches, key: str
) -> None:
    """The images of whichever is complete first are described, each once."""
    files = list(IMAGES.items())
    with ThreadPoolExecutor(REQUESTS) as pool:
        sent = [pool.submit(post_form, api, files, key) for _ in range(REQUESTS)]
        (batch,) = {(it["name"], it["uid"]) for it in (accepted(it.result()) for it in sent)}

    name, _ = batch
    status = batches.wait(name, "Complete")
    assert status["images"] == {"total": len(IMAGES), "done": len(IMAGES), "failed": 0}
    assert described(batches.lines(name)) == sizes(IMAGES)


def test_key_of_another_upload_is_refused(api: httpx.Client, key: str) -> None:
    files = list(IMAGES.items())
    accepted(post_form(api, files, key))
    other = post_form(api, files, key, prompt="What color is it?")
    assert refused_with(other, 422) == "IdempotencyKeyReused"


def test_name_of_another_batch_is_refused(api: httpx.Client, batches: Batches, key: str) -> None:
    files = list(IMAGES.items())
    first = accepted(post_form(api, files, name="taken"))
    stored = uploaded(batches, first["uid"])
    for other in (post_form(api, files, name="taken"), post_form(api, files, key, name="taken")):
        assert refused_with(other, 409) == "BatchExists"
    assert uploaded(batches, first["uid"]) == stored


def test_repeated_json_returns_the_same_batch(api: httpx.Client, key: str) -> None:
    first, again = (accepted(post_json(api, {"upload": {}}, key)) for _ in range(2))
    assert (again["name"], again["uid"]) == (first["name"], first["uid"])


def uploaded(batches: Batches, uid: str) -> list[str]:
    """Return the keys of an ImageBatch's uploaded objects."""
    return [key for key in batches.objects(uid) if key.startswith("u/")]
