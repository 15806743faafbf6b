"""Tests of GET /jobs/{id}/image and GET /jobs/{id}/thumbnail."""

import asyncio
import hashlib
from io import BytesIO
from typing import Any

import httpx
import pytest
from api_fakes import LIMIT, Cluster, FakeBucket, picture
from fastapi import FastAPI
from PIL import Image
from vision_node_api.services.images import thumbnails as thumbnails_module
from vision_node_api.services.images.download_limit import DownloadLimit
from vision_node_api.services.images.images import Images
from vision_node_api.services.images.thumbnails import Thumbnails
from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec, ImageRef, ObjectMeta
from vision_node_contract.models.reasons import Reason

PNG = picture(size=(800, 600))


async def submit(client: httpx.AsyncClient, data: bytes = PNG, name: str = "cat.png") -> str:
    answer = await client.post("/submit", files={"file": (name, data)})
    job_id: str = answer.json()["job_id"]
    return job_id


def add_job(cluster: Cluster, key: str, **image: Any) -> None:
    """Add a job that was created with kubectl."""
    spec = ImageJobSpec(image=ImageRef(key=key, **image))
    cluster.jobs["j"] = ImageJob(metadata=ObjectMeta(name="j", uid="u"), spec=spec)


async def test_image_is_sent_as_it_was_stored(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/jobs/{await submit(client)}/image")

    assert answer.status_code == 200
    assert answer.content == PNG
    digest = hashlib.sha256(PNG).hexdigest()
    expected = {
        "content-type": "image/png",
        "content-length": str(len(PNG)),
        "content-disposition": "inline; filename*=UTF-8''cat.png",
        "etag": f'"{digest}"',
        "cache-control": "private, max-age=3600",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    assert {name: answer.headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("data", "media_type", "kind"),
    [
        (picture("WEBP"), "image/webp", "inline"),
        (picture("TIFF"), "image/tiff", "attachment"),
        (b"<html><script>alert(1)</script>", "application/octet-stream", "attachment"),
        (b"<svg onload='alert(1)'/>", "application/octet-stream", "attachment"),
    ],
)
async def test_type_follows_from_the_bytes(
    client: httpx.AsyncClient,
    bucket: FakeBucket,
    cluster: Cluster,
    data: bytes,
    media_type: str,
    kind: str,
) -> None:
    key = f"{bucket.folders.inbox}x"
    bucket.objects[key] = data
    add_job(cluster, key, media_type="text/html", file_name='ü"\r\n;.html')

    answer = await client.get("/jobs/j/image")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    expected = f"{kind}; filename*=UTF-8''%C3%BC%22%0D%0A%3B.html"
    assert answer.headers["content-disposition"] == expected


@pytest.mark.parametrize("path", ["image", "thumbnail"])
async def test_known_version_is_not_sent_again(
    client: httpx.AsyncClient, bucket: FakeBucket, path: str
) -> None:
    url = f"/jobs/{await submit(client)}/{path}"
    etag = (await client.get(url)).headers["etag"]
    bucket.objects.clear()  # what is known need not be read

    answer = await client.get(url, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag


async def test_image_in_the_inbox_that_was_replaced_has_another_etag(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    key = f"{bucket.folders.inbox}x"
    bucket.objects[key] = PNG
    add_job(cluster, "inbox/x", sha256="0" * 64)
    etag = (await client.get("/jobs/j/image")).headers["etag"]
    assert etag == f'"{hashlib.sha256(PNG).hexdigest()}"'
    assert (await client.get("/jobs/j/image", headers={"If-None-Match": etag})).status_code == 304

    bucket.objects[key] = picture("WEBP")
    answer = await client.get("/jobs/j/image", headers={"If-None-Match": etag})
    assert answer.content == picture("WEBP")


async def test_image_of_an_older_release_in_the_inbox(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    bucket.objects["inbox/x"] = PNG
    add_job(cluster, "inbox/x")
    assert (await client.get("/jobs/j/image")).content == PNG


async def test_image_that_a_policy_hides_outside_the_own_folders_is_gone(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = bucket.get

    async def deny_older(key: str, max_bytes: int) -> bytes:
        if key == "inbox/x":
            raise StoreUnavailableError("denied", Reason.STORAGE_DENIED)
        return await get(key, max_bytes)

    monkeypatch.setattr(bucket, "get", deny_older)
    add_job(cluster, "inbox/x")
    answer = await client.get("/jobs/j/image")
    assert (answer.status_code, answer.json()["reason"]) == (410, "ImageGone")


@pytest.mark.parametrize("path", ["image", "thumbnail"])
@pytest.mark.parametrize(
    ("key", "status", "reason"),
    [
        ("images/aaaabbbbcccc/gone", 410, "ImageGone"),
        ("images/ddddeeeeffff/other-release", 410, "ImageGone"),
        ("results/aaaabbbbcccc/u/1", 410, "ImageGone"),
        ("owners/aaaabbbbcccc.history", 410, "ImageGone"),
    ],
)
async def test_images_that_are_not_there(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster, path: str,
    key: str, status: int, reason: str,
) -> None:  # fmt: skip
    if "gone" not in key:
        bucket.objects[key] = PNG
    add_job(cluster, key)
    answer = await client.get(f"/jobs/j/{path}")
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


async def test_unknown_job(client: httpx.AsyncClient) -> None:
    for path in ("image", "thumbnail"):
        answer = await client.get(f"/jobs/unknown/{path}")
        assert (answer.status_code, answer.json()["reason"]) == (404, "JobNotFound")


async def test_object_that_is_too_large(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    key = f"{bucket.folders.inbox}x"
    bucket.objects[key] = bytes(LIMIT + 1)
    add_job(cluster, key)
    assert (await client.get("/jobs/j/image")).status_code == 410


async def test_thumbnail_is_made_once(
    client: httpx.AsyncClient, bucket: FakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/jobs/{await submit(client)}/thumbnail"
    answers = await asyncio.gather(*(client.get(url) for _ in range(10)))
    bucket.objects.clear()
    answers.append(await client.get(url))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].headers["content-type"] == "image/webp"
    assert Image.open(BytesIO(answers[0].content)).size == (512, 384)


async def test_image_without_thumbnail(client: httpx.AsyncClient, bucket: FakeBucket) -> None:
    job_id = await submit(client)
    bucket.objects = dict.fromkeys(bucket.objects, b"\x89PNG" + bytes(99))
    answer = await client.get(f"/jobs/{job_id}/thumbnail")
    assert (answer.status_code, answer.json()["reason"]) == (422, "NoThumbnail")


async def test_head_has_the_length(client: httpx.AsyncClient) -> None:
    answer = await client.head(f"/jobs/{await submit(client)}/image")
    assert (answer.content, answer.headers["content-length"]) == (b"", str(len(PNG)))


async def test_memory_of_images_is_limited(client: httpx.AsyncClient, app: FastAPI) -> None:
    images: Images = app.state.images
    url = f"/jobs/{await submit(client)}/image"
    with images.downloads.holding(64 << 20):
        answer = await client.get(url)
    assert (answer.status_code, answer.json()["reason"]) == (503, "TooManyDownloads")
    assert "retry-after" in answer.headers

    assert (await client.get(url)).status_code == 200
    assert images.downloads.held_bytes == 0


def test_single_image_always_fits() -> None:
    limit = DownloadLimit(10)
    with limit.holding(11):
        assert limit.held_bytes == 11


class Slow:
    """Makes thumbnails when a test allows it."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.allowed = asyncio.Event()

    async def make(self, image: bytes) -> bytes:
        self.began.set()
        await self.allowed.wait()
        return b"thumbnail of " + image

    async def close(self) -> None:
        self.allowed.set()


def reader(image: bytes, reads: list[bytes]) -> Any:
    async def read() -> bytes:
        reads.append(image)
        return image

    return read


async def test_only_one_image_is_in_memory() -> None:
    process, reads = Slow(), list[bytes]()
    thumbnails = Thumbnails(process)  # type: ignore[arg-type]
    waiting = [
        asyncio.create_task(thumbnails.get(str(number), reader(b"%d" % number, reads)))
        for number in range(5)
    ]
    await process.began.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(reads) == 1

    process.allowed.set()
    assert sorted(await asyncio.gather(*waiting)) == [b"thumbnail of %d" % it for it in range(5)]


async def test_client_that_leaves_does_not_stop_others() -> None:
    process, reads = Slow(), list[bytes]()
    thumbnails = Thumbnails(process)  # type: ignore[arg-type]
    first, second = (
        asyncio.create_task(thumbnails.get("x", reader(b"x", reads))) for _ in range(2)
    )
    await process.began.wait()
    first.cancel()
    process.allowed.set()
    assert await second == b"thumbnail of x"
    assert reads == [b"x"]


async def test_too_many_thumbnails_are_refused(client: httpx.AsyncClient, app: FastAPI) -> None:
    images: Images = app.state.images
    making = dict.fromkeys(map(str, range(thumbnails_module.MAX_WAITING)))
    images.thumbnails._making = making  # type: ignore[assignment]
    answer = await client.get(f"/jobs/{await submit(client)}/thumbnail")
    images.thumbnails._making = {}
    assert (answer.status_code, answer.json()["reason"]) == (503, "TooManyThumbnails")


async def test_memory_of_thumbnails_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails_module, "CACHE_BYTES", 3 * thumbnails_module.ENTRY_BYTES + 60)
    process, reads = Slow(), list[bytes]()
    process.allowed.set()
    thumbnails = Thumbnails(process)  # type: ignore[arg-type]
    for name in ("a", "b", "c", "a", "d"):
        await thumbnails.get(name, reader(name.encode(), reads))
    assert list(thumbnails._cached) == ["c", "a", "d"]
    assert reads == [b"a", b"b", b"c", b"d"]
