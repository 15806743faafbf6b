"""Tests of the content types, boundaries and content encodings of uploads, and of raw bodies."""

import httpx
import pytest
from api_fakes import LIMIT, Cluster, FakeBucket
from form_bytes import BOUNDARY, FORM_TYPE, file, form
from form_requests import NO_IMAGE, PNG, submit


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"Multipart/Form-Data;Boundary={BOUNDARY}",
        f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}; other=1",
        f'multipart/form-data; charset=undefined; boundary = "{BOUNDARY}"',
    ],
)
async def test_valid_form_content_types_are_accepted(
    client: httpx.AsyncClient, content_type: str
) -> None:
    assert (await submit(client, form(file("file", PNG)), content_type)).status_code == 202


@pytest.mark.parametrize(
    "boundary",
    ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "'()+_,-./:=?", "a b", "x" * 70, "--", "\u00e9"],
)
async def test_valid_boundaries_are_accepted(client: httpx.AsyncClient, boundary: str) -> None:
    sent = boundary.encode("latin-1")
    body = form(file("file", PNG)).replace(BOUNDARY.encode(), sent)
    kind = f'multipart/form-data; boundary="{boundary}"'.encode("latin-1")
    response = await client.post("/submit", content=body, headers={b"Content-Type": kind})
    assert response.status_code == 202, response.text


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 300}",
    ],
)
async def test_forms_without_a_usable_boundary_are_refused(
    client: httpx.AsyncClient, content_type: str
) -> None:
    response = await submit(client, form(file("file", PNG)), content_type)
    assert (response.status_code, response.json()["reason"]) == (400, "BadRequest")
    assert "oundary" in response.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "disposition", "file_name"),
    [
        ("image/png", "", None),
        ("IMAGE/PNG; charset=binary", "", None),
        ("image/jpeg", "", None),
        ("image/*", "", None),
        ("application/octet-stream", "", None),
        ("image/png", 'attachment; filename="a.png"', "a.png"),
        ("image/png", "inline; filename=a.png; filename*=UTF-8''%e2%82%ac.png", "€.png"),
        ("image/png", 'attachment; filename="gr\u00c3\u00b6\u00c3\u009fe.png"', "größe.png"),
        ("image/png", "attachment", None),
    ],
)
async def test_raw_image_body_is_accepted(
    client: httpx.AsyncClient,
    cluster: Cluster,
    bucket: FakeBucket,
    content_type: str,
    disposition: str,
    file_name: str | None,
) -> None:
    headers = {"Content-Type": content_type, "Content-Disposition": disposition.encode("latin-1")}
    response = await client.post("/submit", content=PNG, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 202, response.text
    (job,) = cluster.jobs.values()
    assert bucket.objects == {job.spec.image.key: PNG}
    assert job.spec.image.file_name == file_name


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "EmptyImage"),
        (NO_IMAGE, 415, "UnsupportedFormat"),
        (b"%PDF-1.7" + bytes(LIMIT - 8), 415, "UnsupportedFormat"),
        (PNG + bytes(LIMIT), 413, "ImageTooLarge"),
        (bytes(LIMIT * 3), 413, "ImageTooLarge"),
    ],
)
@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream"])
async def test_unacceptable_raw_body_is_refused(
    client: httpx.AsyncClient, body: bytes, status: int, reason: str, content_type: str
) -> None:
    response = await submit(client, body, content_type)
    assert (response.status_code, response.json()["reason"]) == (status, reason)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/mixed; boundary=x",
        "image",
        "",
    ],
)
async def test_other_content_types_are_refused_with_advice(
    client: httpx.AsyncClient, content_type: str
) -> None:
    response = await submit(client, PNG, content_type)
    assert (response.status_code, response.json()["reason"]) == (415, "NotAForm")
    assert "-F file=@photo.jpg" in response.json()["detail"]
    assert "Content-Type: image/jpeg" in response.json()["detail"]


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 415), ("br, gzip", 415), ("identity", 202), ("", 202)]
)
@pytest.mark.parametrize("content_type", [FORM_TYPE, "image/png"])
async def test_compressed_bodies_are_refused(
    client: httpx.AsyncClient, encoding: str, status: int, content_type: str
) -> None:
    body = PNG if content_type == "image/png" else form(file("file", PNG))
    response = await submit(client, body, content_type, Content_Encoding=encoding)
    assert response.status_code == status
    if status == 415:
        assert response.json()["reason"] == "ContentEncodingUnsupported"
        assert "Content-Encoding" in response.json()["detail"]
        assert response.headers["Accept-Encoding"] == "identity"
