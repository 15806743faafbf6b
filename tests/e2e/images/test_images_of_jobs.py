"""Tests of GET /jobs/{id}/image and GET /jobs/{id}/thumbnail of the running system."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from conftest import Kubectl, wait_for
from PIL import Image
from uploads.upload_requests import post_form


def thumbnail_size(answer: httpx.Response) -> tuple[int, int]:
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(BytesIO(answer.content)) as image:
        return image.size


def test_every_photo_and_its_thumbnail(api: httpx.Client, photos: list[Path]) -> None:
    for photo in photos:
        data = photo.read_bytes()
        job = api.post("/submit", files={"file": (photo.name, data)}).json()["job_id"]

        answer = api.get(f"/jobs/{job}/image")
        assert answer.content == data
        tag = {"If-None-Match": answer.headers["etag"]}
        assert api.get(f"/jobs/{job}/image", headers=tag).status_code == 304
        assert max(thumbnail_size(api.get(f"/jobs/{job}/thumbnail"))) <= 512


@pytest.fixture
def batch(api: httpx.Client, kubectl: Kubectl, photos: list[Path]) -> Iterator[str]:
    """Yield the name of a finished batch with two photos, which were uploaded as one."""
    answer = post_form(api, [(photo.name, photo.read_bytes()) for photo in photos[:2]])
    name = str(answer.json()["name"])

    wait_for(lambda: str(api.get(f"/batches/{name}").json()["status"]), lambda it: it == "done")
    yield name
    kubectl("delete", "imagebatch", name, "--wait=false")


def test_images_of_a_batch(api: httpx.Client, batch: str, photos: list[Path]) -> None:
    found = [api.get(f"/jobs/{batch}.{index}/image") for index in range(2)]
    assert {it.content for it in found} == {it.read_bytes() for it in photos[:2]}
    assert max(thumbnail_size(api.get(f"/jobs/{batch}.0/thumbnail"))) <= 512


def test_image_of_a_deleted_job_is_gone(
    api: httpx.Client, kubectl: Kubectl, photos: list[Path]
) -> None:
    job = api.post("/submit", files={"file": photos[0].read_bytes()}).json()["job_id"]
    assert api.get(f"/jobs/{job}/thumbnail").status_code == 200
    kubectl("delete", "imagejob", job)
    for path in ("image", "thumbnail"):
        wait_for(lambda: api.get(f"/jobs/{job}/{path}").status_code, lambda it: it == 404)  # noqa: B023
