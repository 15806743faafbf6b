"""Tests of a batch whose images are sent one by one, so that an upload can be resumed."""

import json
from urllib.parse import quote

import httpx
import pytest
from batches.batch import Batches
from vision_node_contract.json_types import Json

from uploads.image_sizes import described, sizes
from uploads.pictures_to_upload import FIRST, PHOTOS, SECOND, TEXT
from uploads.upload_requests import accepted, post_json, refused_with

NAME = "one-by-one"
TWICE = "changed/twice.png"
ODD = "a/ü +%.jpg"

IMAGES = {**dict(list(PHOTOS.items())[2:5]), ODD: PHOTOS[FIRST], TWICE: PHOTOS[SECOND]}
"""The images that the batch has in the end."""


def put(api: httpx.Client, custom_id: str, data: bytes) -> httpx.Response:
    """Send an image of the batch."""
    return api.put(f"/batches/{NAME}/images/{quote(custom_id, safe='/')}", content=data)


def start(api: httpx.Client) -> Json:
    """Start the batch, and return its state in the answer."""
    answer = api.post(f"/batches/{NAME}/start")
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


@pytest.fixture(scope="module")
def sent(api: httpx.Client, batches: Batches) -> Batches:
    """Send the images of a batch that is not started yet, some of them again."""
    answer = accepted(post_json(api, {"upload": {}, "name": NAME}))
    assert (answer["name"], answer["images"], answer["refused"]["count"]) == (NAME, 0, 0)

    first = {**IMAGES, TWICE: PHOTOS[FIRST]}
    for custom_id, data in [*first.items(), (TWICE, IMAGES[TWICE]), (ODD, IMAGES[ODD])]:
        stored = put(api, custom_id, data)
        assert stored.is_success, stored.text

    return batches


def test_images_that_have_arrived_are_listed(sent: Batches, api: httpx.Client) -> None:
    answer = api.get(f"/batches/{NAME}/images")
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted((it["customId"], it["size"]) for it in lines) == sorted(
        (name, len(data)) for name, data in IMAGES.items()
    )


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("text.jpg", TEXT, "UnsupportedFormat"),
        ("empty.jpg", b"", "EmptyFile"),
        ("a\x01b.jpg", PHOTOS[FIRST], "NameInvalid"),
    ],
    ids=["text", "empty", "name"],
)
def test_single_image_is_refused_with_the_same_reasons(
    sent: Batches, api: httpx.Client, name: str, data: bytes, reason: str
) -> None:
    answer = put(api, name, data)
    assert answer.is_client_error
    assert answer.json()["reason"] == reason


def test_nothing_is_described_before_the_start(sent: Batches) -> None:
    state = sent.state(NAME)
    assert (state["status"], state["source"]["upload"]["complete"]) == ("queued", False)
    assert sent.shards(state["uid"]) == []
    assert sent.text(NAME) == ""


def test_started_batch_describes_each_image_once(sent: Batches, api: httpx.Client) -> None:
    """The start may be repeated, but no image can be added."""
    uid = {start(api)["uid"], start(api)["uid"]}
    for custom_id in (TWICE, "late.jpg"):
        assert refused_with(put(api, custom_id, PHOTOS[FIRST]), 409) == "UploadComplete"

    status = sent.wait(NAME, "Complete")
    uid.add(start(api)["uid"])
    assert uid == {sent.uid(NAME)}
    assert status["images"] == {"total": len(IMAGES), "done": len(IMAGES), "failed": 0}
    assert described(sent.lines(NAME)) == sizes(IMAGES)

    uploaded = [key for key in sent.objects(uid.pop()) if key.startswith("u/")]
    assert len(uploaded) == len(IMAGES)
    assert all(key.startswith("u/i/") for key in uploaded)


def test_batch_without_images_is_not_started(api: httpx.Client) -> None:
    accepted(post_json(api, {"upload": {}, "name": "no-images"}))
    assert refused_with(api.post("/batches/no-images/start"), 422) == "NoImages"
    assert api.get("/batches/no-images").json()["source"]["upload"]["complete"] is False


def test_unknown_batch_takes_no_images(api: httpx.Client) -> None:
    for method, path in (("PUT", "images/a.jpg"), ("GET", "images"), ("POST", "start")):
        answer = api.request(method, f"/batches/unknown/{path}", content=PHOTOS[FIRST])
        assert refused_with(answer, 404) == "BatchNotFound"
