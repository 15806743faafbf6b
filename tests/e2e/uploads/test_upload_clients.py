"""Tests of clients that are slow or go away, and of bodies that break off."""

import time
from collections.abc import Callable

import httpx
import pytest
from batches.batch import Batches
from conftest import Kubectl, wait_for

from uploads.archives import tar_file, tar_without_end, zip_file
from uploads.image_sizes import described, sizes
from uploads.pictures_to_upload import PHOTOS, drawn
from uploads.slow_clients import sending_tar, trickle
from uploads.upload_requests import accepted, post_archive

SLOW_SECONDS = 4.0
"""How long the slow upload takes."""

MANY = list(drawn(200).items())
GARBAGE = bytes(range(256)) * 64

BROKEN = {
    "garbage-in-tar": ("tar", tar_without_end(MANY) + GARBAGE, 400),
    "cut-off-tar": ("tar", tar_without_end(MANY)[:-700], 400),
    "cut-off-zip": ("zip", zip_file(MANY)[:-700], 400),
    "zip-as-tar": ("tar", zip_file(MANY), 415),
    "tar-as-zip": ("zip", tar_file(MANY), 400),
}
"""Name of the batch, kind and content of archives that can't be read to the end, and the status of
the answer."""


def test_slow_upload_succeeds(url: str, batches: Batches) -> None:
    """The batch exists and waits while its images arrive."""
    body = tar_file(list(PHOTOS.items())[:3])
    started = time.monotonic()
    with sending_tar(url, "slow-client", len(body)) as connection:
        answer = trickle(connection, body, SLOW_SECONDS)
        assert answer.status == 202, answer.body

    assert time.monotonic() - started >= SLOW_SECONDS * 0.9
    batches.wait("slow-client", "Complete")
    assert described(batches.lines("slow-client")) == sizes(dict(list(PHOTOS.items())[:3]))


def test_client_that_goes_away_leaves_a_batch_only_with_a_key(
    url: str, api: httpx.Client, batches: Batches, kubectl: Kubectl, exists: Callable[[str], bool]
) -> None:
    """With the key, the same request goes on, and its images are described once."""
    body, key = tar_file(list(PHOTOS.items())), "gone-client"
    with (
        sending_tar(url, "gone-without-key", len(body)) as without_key,
        sending_tar(url, "gone-with-key", len(body), key) as with_key,
    ):
        for connection in (without_key, with_key):
            connection.send(body[: len(body) // 2])
        for name in ("gone-without-key", "gone-with-key"):
            wait_for(lambda name=name: exists(name), bool)  # type: ignore[misc]

    wait_for(lambda: exists("gone-without-key"), lambda found: not found)
    path = "jsonpath={.spec.upload.complete}"
    assert kubectl("get", "imagebatch", "gone-with-key", "-o", path) == "false"

    uid = batches.uid("gone-with-key")
    again = accepted(post_archive(api, "tar", body, key, name="gone-with-key"))
    assert (again["uid"], again["images"]) == (uid, len(PHOTOS))
    batches.wait("gone-with-key", "Complete")
    assert described(batches.lines("gone-with-key")) == sizes(PHOTOS)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_archive_leaves_nothing(
    api: httpx.Client, exists: Callable[[str], bool], name: str
) -> None:
    kind, archive, status = BROKEN[name]
    answer = post_archive(api, kind, archive, name=name)
    assert answer.status_code == status, answer.text
    assert answer.json()["reason"]
    assert answer.json()["detail"]
    assert not exists(name)
