"""Tests of which images are accepted, and of the problem documents for all others."""

import asyncio
import struct
import zlib

import httpx
import pytest
from api_client import submit
from api_fakes import LIMIT, Cluster, FakeBucket, picture
from vision_node_contract.images.formats import HEIC, SUPPORTED, Format


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
async def test_every_supported_format_is_accepted(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, kind: Format
) -> None:
    data = picture("HEIF" if kind is HEIC else kind.name)
    response = await submit(client, data)
    assert response.status_code == 202

    job_id = response.json()["job_id"]
    assert response.json() == {"job_id": job_id, "status": "queued"}
    assert response.headers["Location"] == f"/status/{job_id}"

    image = cluster.jobs[job_id].spec.image
    assert (image.media_type, image.width, image.height) == (kind.media_type, 8, 6)
    assert image.size_bytes == len(data)
    assert bucket.objects == {image.key: data}


PNG = picture()


def bomb(side: int) -> bytes:
    """Return a PNG of about 40 bytes that declares side × side pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk
        + b"\x00\x00\x00\x00IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


REFUSED: dict[str, tuple[bytes, int, str, str]] = {
    "empty": (b"", 400, "EmptyImage", "no bytes"),
    "text": (
        b"hello world " * 20,
        415,
        "UnsupportedFormat",
        "JPEG, PNG, WebP, GIF, AVIF, BMP, HEIC, TIFF",
    ),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "UnsupportedFormat", "convert"),
    "pdf": (b"%PDF-1.7\n%", 415, "UnsupportedFormat", "convert"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", 415, "UnsupportedFormat", "convert"),
    "psd": (b"8BPS" + bytes(40), 415, "UnsupportedFormat", "Photoshop"),
    "too many bytes": (b"x" * (LIMIT + 1), 413, "ImageTooLarge", f"{LIMIT} bytes"),
    "far too many bytes": (b"x" * (LIMIT * 10), 413, "ImageTooLarge", f"{LIMIT} bytes"),
    "a decompression bomb": (bomb(60_000), 413, "ImageTooLarge", "60000x60000 = 3600000000 pixels"),
    "too many pixels": (
        picture(size=(1001, 1000), mode="1"),
        413,
        "ImageTooLarge",
        "1001x1000 = 1001000 pixels and exceeds the limit of 1000000",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_unacceptable_image_is_refused(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, case: str
) -> None:
    data, status, reason, words = REFUSED[case]
    response = await submit(client, data)
    problem = response.json()

    assert (response.status_code, problem["reason"]) == (status, reason)
    assert words in problem["detail"]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["type"]
    assert problem["title"]
    assert problem["status"] == status
    assert (cluster.jobs, bucket.objects) == ({}, {})


@pytest.mark.parametrize("length", range(1, len(PNG), 7))
async def test_truncated_image_never_causes_an_internal_error(
    client: httpx.AsyncClient, length: int
) -> None:
    assert (await submit(client, PNG[:length])).status_code in {202, 415, 422}


async def test_form_without_an_image_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/submit", data={"image": "text"}, files={"other": b""})
    assert (response.status_code, response.json()["reason"]) == (400, "MissingImage")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"garbage", 400),
    ],
)
async def test_invalid_form_is_refused(
    client: httpx.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    response = await client.post("/submit", content=body, headers={"Content-Type": content_type})
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_file_name_is_cleaned(client: httpx.AsyncClient, cluster: Cluster) -> None:
    await client.post("/submit", files={"file": ("../../etc/\x07pass wd.png", PNG)})
    (job,) = cluster.jobs.values()
    assert job.spec.image.file_name is not None
    assert "/" not in job.spec.image.file_name
    assert job.spec.image.file_name.isprintable()


async def test_slow_image_header_does_not_block_other_requests(client: httpx.AsyncClient) -> None:
    """The API reads a header with very many segments in a thread, not on the event loop."""
    slow = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 10_000
    task = asyncio.create_task(submit(client, slow))
    for _ in range(20):
        assert (await client.get("/status/nope")).status_code == 404
    assert (await task).status_code in {415, 422}


async def test_invalid_charset_is_refused(client: httpx.AsyncClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--x--\r\n'
    kind = {"Content-Type": "Multipart/Form-Data; boundary=x; charset=undefined"}
    assert (await client.post("/submit", content=body, headers=kind)).status_code == 400
