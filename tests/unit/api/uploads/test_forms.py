"""What counts as the image of a form, and what a form without one is told; bytes as clients send them."""

import base64
import os
import textwrap
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from api_fakes import LIMIT, Cluster, FakeBucket, picture
from form_bytes import BOUNDARY, FORM_TYPE, chunks, file, form, part, text
from vision_node_api.uploads.form_part import SNIFF_BYTES
from vision_node_api.uploads.form_reader import MAX_PARTS

PNG = picture()
JPEG = picture("JPEG")
NOISE = picture(noise=100)
BASE64 = base64.b64encode(PNG)
SPARE = file("photo", b"", "")
NO_IMAGE = b"no image, but a text of more than twenty-six bytes"


async def submit(
    client: httpx.AsyncClient, body: bytes, content_type: str = FORM_TYPE, **headers: str
) -> httpx.Response:
    sent = {
        "Content-Type": content_type,
        **{name.replace("_", "-"): said for name, said in headers.items()},
    }
    return await client.post("/submit", content=body, headers=sent)


@pytest.fixture(params=[None, 1, 7], ids=lambda size: f"in pieces of {size}" if size else "at once")
def piece(request: pytest.FixtureRequest) -> int | None:
    """How many bytes arrive at a time: parsers break where pieces meet."""
    size: int | None = request.param
    return size


async def send(client: httpx.AsyncClient, body: bytes, piece: int | None) -> httpx.Response:
    headers = {"Content-Type": FORM_TYPE}

    async def pieces() -> Any:
        for chunk in chunks(body, max(piece, len(body) // 4000) if piece else LIMIT * 2):
            yield chunk

    return await client.post("/submit", content=pieces(), headers=headers)


TAKEN: dict[str, tuple[bytes, str | None]] = {
    "the documented field": (form(file("file", PNG)), "photo.png"),
    "the older field": (form(file("image", PNG)), "photo.png"),
    "a field of any name": (form(file("upload", PNG)), "photo.png"),
    "a list's field": (form(file("files[]", PNG)), "photo.png"),
    "a field without a name": (form(part('form-data; filename="a.png"', PNG)), "a.png"),
    "a part without headers that matter": (form(part("Content-Type: image/png", PNG)), None),
    "a file named as an option": (form(file("prompt", PNG)), "photo.png"),
    "no file name": (form(text("file", PNG)), None),
    "no file name in a field of any name": (form(text("upload", PNG)), None),
    "an empty file name": (form(file("file", PNG, "")), None),
    "only an encoded file name": (
        form(part("form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac%20rates.png", PNG)),
        "€ rates.png",
    ),
    "an encoded file name beside a plain one": (
        form(
            part(
                "form-data; name=file; filename=\"EURO.png\"; filename*=utf-8'en'%e2%82%ac.png", PNG
            )
        ),
        "€.png",
    ),
    "an encoded file name in Latin-1": (
        form(part("form-data; name=file; filename*=ISO-8859-1''%a3.png", PNG)),
        "£.png",
    ),
    "an encoded file name that is broken": (
        form(part("form-data; name=file; filename*=UTF-8''%ff%zz.png", PNG)),
        "\ufffd%zz.png",
    ),
    "an encoded field name": (
        form(part("form-data; name*=UTF-8''file; filename=a.png", PNG)),
        "a.png",
    ),
    "a file name in UTF-8": (form(file("file", PNG, "größe.png")), "größe.png"),
    "a file name in Latin-1": (
        form(part("form-data; name=file; filename=größe.png".encode("latin-1"), PNG)),
        "größe.png",
    ),
    "quotes and semicolons in a file name": (
        form(part(r'form-data; name="file"; filename="a\"b;c=d.png"', PNG)),
        'a"b;c=d.png',
    ),
    "a path of Windows": (
        form(part(r'form-data; name="file"; filename="C:\new\a.png"', PNG)),
        "a.png",
    ),
    "parameters in unusual case, order and spacing": (
        form(part('Form-Data ;FileName = "a.png" ; NAME="file"', PNG)),
        "a.png",
    ),
    "header names in unusual case": (
        form(part('CONTENT-disposition: form-data; name="file"; filename="a.png"', PNG)),
        "a.png",
    ),
    "other headers before": (
        form(
            part(
                "Content-Type: image/png",
                PNG,
                'Content-Disposition: form-data; name="x"; filename="a.png"',
            )
        ),
        "a.png",
    ),
    "a spare file input before": (form(SPARE, file("photo", PNG)), "photo.png"),
    "a spare file input after": (form(file("photo", PNG), SPARE), "photo.png"),
    "a spare input of the documented name": (
        form(file("file", b"", ""), file("upload", PNG)),
        "photo.png",
    ),
    "an empty text field of the documented name": (
        form(text("file", ""), file("upload", PNG)),
        "photo.png",
    ),
    "another file beside": (
        form(file("notes", NO_IMAGE, "a.txt"), file("upload", PNG)),
        "photo.png",
    ),
    "text that begins like a bitmap": (
        form(text("note", "BMW or Audi? Which of the two is on the left?"), file("upload", PNG)),
        "photo.png",
    ),
    "base64 text": (form(text("file", BASE64)), None),
    "base64 text in a field of any name": (form(text("picture", BASE64)), None),
    "base64 text with line breaks": (
        form(text("file", base64.encodebytes(PNG).replace(b"\n", b"\r\n"))),
        None,
    ),
    "base64 text with narrow lines": (
        form(text("file", "\n".join(textwrap.wrap(BASE64.decode(), 5)))),
        None,
    ),
    "base64 text without padding": (form(text("file", BASE64.rstrip(b"="))), None),
    "base64 text in the alphabet for URLs": (
        form(text("file", base64.urlsafe_b64encode(NOISE))),
        None,
    ),
    "base64 text in a file": (form(file("file", BASE64, "a.b64")), "a.b64"),
    "base64 as the transfer encoding": (
        form(
            part(
                "form-data; name=file; filename=a.png", BASE64, "Content-Transfer-Encoding: base64"
            )
        ),
        "a.png",
    ),
    "a data: URL": (form(text("file", b"data:image/png;base64," + BASE64)), None),
    "a data: URL in unusual case": (
        form(text("file", b" DATA:image/png; charset=x ;BASE64," + BASE64)),
        None,
    ),
    "a data: URL without a type": (form(text("file", b"data:;base64," + BASE64)), None),
    "a preamble": (b"This is a form.\r\nEnjoy.\r\n" + form(file("file", PNG)), "photo.png"),
    "an empty line before": (b"\r\n" + form(file("file", PNG)), "photo.png"),
    "an epilogue": (form(file("file", PNG)) + b"the end\r\n--\r\n", "photo.png"),
    "spaces after a boundary": (
        form(file("file", PNG)).replace(BOUNDARY.encode() + b"--", BOUNDARY.encode() + b" \t\r\n")
        + form(text("note", "")),
        "photo.png",
    ),
    "no closing boundary, but a further one": (
        file("file", PNG) + f"--{BOUNDARY}\r\n".encode(),
        "photo.png",
    ),
    "the same image twice": (form(file("a", PNG), file("b", PNG)), "photo.png"),
    "other images beside the documented field": (
        form(file("image", JPEG), file("preview", JPEG), file("file", PNG)),
        "photo.png",
    ),
    "other images beside the older field": (
        form(file("preview", JPEG), file("image", PNG)),
        "photo.png",
    ),
    "the first of an image and its text": (form(text("thumb", PNG), file("b", JPEG)), None),
}


@pytest.mark.parametrize("case", TAKEN)
async def test_the_image_is_found(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, case: str, piece: int | None
) -> None:
    body, file_name = TAKEN[case]
    answer = await send(client, body, piece)
    assert answer.status_code == 202, answer.text
    (job,) = cluster.jobs.values()
    wanted = NOISE if "alphabet" in case else PNG
    assert bucket.objects == {job.spec.image.key: wanted}
    assert job.spec.image.file_name == file_name


UNCLEAR = "Send one image in each request"
REFUSED: dict[str, tuple[bytes, int, str, tuple[str, ...]]] = {
    "nothing at all": (form(), 400, "MissingImage", ("The form is empty",)),
    "only options": (
        form(text("prompt", "cat?")),
        400,
        "MissingImage",
        ("'prompt': text of 4 bytes",),
    ),
    "a name instead of a file": (
        form(text("image", "photo.jpg")),
        400,
        "MissingImage",
        ("'image': text of 9 bytes", "-F file=@photo.jpg"),
    ),
    "text and a spare file input": (
        form(text("image", "text"), SPARE),
        400,
        "MissingImage",
        ("'image': text of 4 bytes", "'photo': empty file"),
    ),
    "two files that are none": (
        form(file("a", NO_IMAGE), file("b", b"%PDF-1.7")),
        400,
        "MissingImage",
        ("'a': file of 50 bytes", "'b': file of 8 bytes"),
    ),
    "names that are long or can't be printed": (
        form(
            part(b'form-data; name="a\x07\xc2\x85b"', b"1"),
            text("x" * 1000, "2"),
            part("form-data", b"3"),
        ),
        400,
        "MissingImage",
        ("'ab': text", f"'{'x' * 40}': text", "a field without a name: text"),
    ),
    "text that could be base64": (form(text("image", "Qk1x")), 400, "MissingImage", ("'image'",)),
    "base64 text of no image": (
        form(text("image", base64.b64encode(NO_IMAGE))),
        400,
        "MissingImage",
        ("'image'",),
    ),
    "a data: URL that is not base64": (
        form(text("image", "data:image/svg+xml,%3Csvg/%3E")),
        400,
        "MissingImage",
        ("'image'",),
    ),
    "an image in an option that is text": (
        form(text("prompt", PNG)),
        400,
        "MissingImage",
        ("'prompt'",),
    ),
    "an empty file": (form(file("file", b"")), 400, "EmptyImage", ()),
    "an empty file in any field": (
        form(file("upload", b""), text("prompt", "x")),
        400,
        "EmptyImage",
        (),
    ),
    "a text file": (form(file("file", NO_IMAGE)), 415, "UnsupportedFormat", ("PNG",)),
    "a document": (form(file("upload", b"%PDF-1.7\n%"), SPARE), 415, "UnsupportedFormat", ("PDF",)),
    "a large document": (
        form(file("a", b"%PDF" + bytes(LIMIT - 4))),
        415,
        "UnsupportedFormat",
        ("PDF",),
    ),
    "two images": (
        form(file("a", PNG), file("b", JPEG)),
        400,
        "TooManyImages",
        ("'a', 'b'", UNCLEAR),
    ),
    "two images in the documented field": (
        form(file("file", PNG), file("file", JPEG), file("image", PNG)),
        400,
        "TooManyImages",
        (UNCLEAR,),
    ),
    "too many parts": (
        form(*(text(f"a{n}", "") for n in range(MAX_PARTS)), file("file", PNG)),
        400,
        "TooManyParts",
        (f"more than {MAX_PARTS} parts",),
    ),
    "too many bytes": (
        form(file("file", PNG + bytes(LIMIT))),
        413,
        "ImageTooLarge",
        (f"{LIMIT} bytes",),
    ),
    "too many bytes without a file name": (
        form(text("upload", PNG + bytes(LIMIT))),
        413,
        "ImageTooLarge",
        (),
    ),
    "too many bytes of base64": (
        form(text("file", base64.b64encode(PNG + bytes(LIMIT)))),
        413,
        "ImageTooLarge",
        (),
    ),
    "an option that is too long": (
        form(text("prompt", "x" * (SNIFF_BYTES + 1)), file("file", PNG)),
        422,
        "OptionsInvalid",
        (f"The form field prompt has more than {SNIFF_BYTES} bytes",),
    ),
    "an option from a file that is too long": (
        form(file("prompt", b"x" * (SNIFF_BYTES + 1)), file("file", PNG)),
        422,
        "OptionsInvalid",
        (f"The form field prompt has more than {SNIFF_BYTES} bytes",),
    ),
    "base64 text that breaks off into something else": (
        form(text("file", base64.b64encode(picture(noise=20_000)) + b"!")),
        422,
        "ImageUnreadable",
        ("base64",),
    ),
    "no closing boundary": (file("file", PNG), 400, "BadRequest", ("closing boundary is missing",)),
    "a part that ends in its headers": (
        file("file", PNG) + f"--{BOUNDARY}\r\nContent-Dispo".encode(),
        400,
        "BadRequest",
        ("closing boundary is missing",),
    ),
    "another boundary": (b"--other\r\n" + bytes(100), 400, "BadRequest", ("boundary",)),
    "a preamble without end": (
        b"x" * 10_000 + form(file("file", PNG)),
        400,
        "BadRequest",
        ("boundary",),
    ),
    "nothing": (b"", 400, "BadRequest", ("Its body is empty",)),
    "a header without a name": (form(part(": 1", PNG)), 400, "BadRequest", ("can't be read",)),
    "a header that is too long": (
        form(file("file", PNG, "x" * 5000)),
        400,
        "BadRequest",
        ("header size",),
    ),
    "too many headers": (
        form(part("form-data; name=file", PNG, *("X: 1" for _ in range(20)))),
        400,
        "BadRequest",
        ("header count",),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_form_without_one_clear_image_is_told_why(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, case: str, piece: int | None
) -> None:
    body, status, reason, words = REFUSED[case]
    answer = await send(client, body, piece)
    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (status, reason), problem["detail"]
    assert [word for word in words if word not in problem["detail"]] == [], problem["detail"]
    assert len(problem["detail"]) < 2000
    assert (cluster.jobs, bucket.objects) == ({}, {})


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"Multipart/Form-Data;Boundary={BOUNDARY}",
        f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}; other=1",
        f'multipart/form-data; charset=undefined; boundary = "{BOUNDARY}"',
    ],
)
async def test_content_types_of_forms(client: httpx.AsyncClient, content_type: str) -> None:
    assert (await submit(client, form(file("file", PNG)), content_type)).status_code == 202


@pytest.mark.parametrize(
    "boundary",
    ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "'()+_,-./:=?", "a b", "x" * 70, "--", "\u00e9"],
)
async def test_boundaries(client: httpx.AsyncClient, boundary: str) -> None:
    sent = boundary.encode("latin-1")
    body = form(file("file", PNG)).replace(BOUNDARY.encode(), sent)
    kind = f'multipart/form-data; boundary="{boundary}"'.encode("latin-1")
    answer = await client.post("/submit", content=body, headers={b"Content-Type": kind})
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 300}",
    ],
)
async def test_forms_without_a_usable_boundary(
    client: httpx.AsyncClient, content_type: str
) -> None:
    answer = await submit(client, form(file("file", PNG)), content_type)
    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert "oundary" in answer.json()["detail"]


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
async def test_a_body_that_is_the_image(
    client: httpx.AsyncClient,
    cluster: Cluster,
    bucket: FakeBucket,
    content_type: str,
    disposition: str,
    file_name: str | None,
) -> None:
    headers = {"Content-Type": content_type, "Content-Disposition": disposition.encode("latin-1")}
    answer = await client.post("/submit", content=PNG, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 202, answer.text
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
async def test_a_body_that_is_no_image(
    client: httpx.AsyncClient, body: bytes, status: int, reason: str, content_type: str
) -> None:
    answer = await submit(client, body, content_type)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


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
async def test_bodies_of_other_types_are_told_what_to_send(
    client: httpx.AsyncClient, content_type: str
) -> None:
    answer = await submit(client, PNG, content_type)
    assert (answer.status_code, answer.json()["reason"]) == (415, "NotAForm")
    assert "-F file=@photo.jpg" in answer.json()["detail"]
    assert "Content-Type: image/jpeg" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 415), ("br, gzip", 415), ("identity", 202), ("", 202)]
)
@pytest.mark.parametrize("content_type", [FORM_TYPE, "image/png"])
async def test_compressed_bodies_are_told_so(
    client: httpx.AsyncClient, encoding: str, status: int, content_type: str
) -> None:
    body = PNG if content_type == "image/png" else form(file("file", PNG))
    answer = await submit(client, body, content_type, Content_Encoding=encoding)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["reason"] == "ContentEncodingUnsupported"
        assert "Content-Encoding" in answer.json()["detail"]
        assert answer.headers["Accept-Encoding"] == "identity"


FIELDS = {
    "prompt": "Which breed?",
    "language": "de",
    "detail": "high",
    "maxLength": "300",
    "fallback": "never",
}


@pytest.mark.parametrize("content_type", [FORM_TYPE, "image/png"])
async def test_options_may_be_query_parameters(
    client: httpx.AsyncClient, cluster: Cluster, content_type: str
) -> None:
    body = PNG if content_type == "image/png" else form(file("file", PNG))
    params = {**FIELDS, "describer": "newest", "unknown": "1", "file": "2"}
    answer = await client.post(
        "/submit", content=body, params=params, headers={"Content-Type": content_type}
    )
    spec = cluster.jobs[answer.json()["job_id"]].spec
    assert spec.describer == "newest"
    assert spec.options is not None
    assert spec.options.model_dump(by_alias=True) == {**FIELDS, "maxLength": 300}


@pytest.mark.parametrize(
    ("field", "query", "prompt"),
    [
        ([text("prompt", "of the form")], "?prompt=of+the+query", "of the form"),
        ([text("prompt", "  ")], "?prompt=of+the+query", "of the query"),
        ([text("prompt", "first"), text("prompt", "last")], "", "last"),
        ([file("prompt", b"from a file", "prompt.txt")], "", "from a file"),
        ([text("prompt", "größe")], "", "größe"),
        ([text("prompt", "größe".encode("latin-1"))], "", "größe"),
        ([], "?prompt=gr%C3%B6%C3%9Fe", "größe"),
        ([], "?prompt=%ED%A0%80", "\ufffd\ufffd\ufffd"),
        ([text("prompt", "BMW or Audi? Which of the two is on the left?")], "", None),
        ([text("prompt", b"\xed\xa0\x80")], "", "\u00ed\u00a0\u0080"),
        ([text("prompt", BASE64)], "", None),
    ],
)
async def test_text_keeps_its_meaning(
    client: httpx.AsyncClient, cluster: Cluster, field: list[bytes], query: str, prompt: str | None
) -> None:
    body = form(*field, file("file", PNG))
    answer = await client.post(f"/submit{query}", content=body, headers={"Content-Type": FORM_TYPE})
    assert answer.status_code == 202, answer.text
    options = cluster.jobs[answer.json()["job_id"]].spec.options
    sent = field[0].split(b"\r\n")[3].decode() if prompt is None else prompt
    assert options is not None
    assert options.prompt == sent
    assert options.model_dump_json().encode()


def _cuts(body: bytes) -> Iterator[bytes]:
    yield from (body[:at] for at in range(0, len(body), 3))
    yield from (
        body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :] for at in range(0, len(body), 3)
    )


async def test_damaged_forms_are_never_an_error_of_the_server(client: httpx.AsyncClient) -> None:
    whole = form(
        part(
            "form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac.png",
            PNG,
            "Content-Type: image/png",
        ),
        text("prompt", "cat?"),
        text("copy", b"data:image/png;base64," + BASE64),
    )
    for body in _cuts(whole):
        assert (await submit(client, body)).status_code in {202, 400, 415, 422}


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
async def test_random_bytes_are_never_an_error_of_the_server(
    client: httpx.AsyncClient, size: int
) -> None:
    start = f"--{BOUNDARY}\r\n".encode()
    for _ in range(20):
        answer = await submit(client, start + os.urandom(size))
        assert answer.status_code in {400, 413}


async def test_a_field_of_unknown_meaning_may_be_long(client: httpx.AsyncClient) -> None:
    body = form(text("note", "x" * (LIMIT - 2000)), file("file", PNG))
    assert (await submit(client, body)).status_code == 202


def test_file_names_are_quoted_for_urls() -> None:
    """The table above has been written by hand; this is how clients make it."""
    assert quote("€ rates.png").lower() == "%e2%82%ac%20rates.png"
