"""Tests of the problem documents for forms that are malformed or lack a single clear image."""

import base64

import httpx
import pytest
from api_fakes import LIMIT, Cluster, FakeBucket, picture
from form_bytes import BOUNDARY, file, form, part, text
from form_requests import EMPTY_INPUT, JPEG, NO_IMAGE, PNG, send
from vision_node_api.uploads.form_part import SNIFF_BYTES
from vision_node_api.uploads.form_reader import MAX_PARTS

UNCLEAR = "Send one image in each request"
REFUSED: dict[str, tuple[bytes, int, str, tuple[str, ...]]] = {
    "an empty form": (form(), 400, "MissingImage", ("The form is empty",)),
    "only options": (
        form(text("prompt", "cat?")),
        400,
        "MissingImage",
        ("'prompt': text of 4 bytes",),
    ),
    "a file name instead of a file": (
        form(text("image", "photo.jpg")),
        400,
        "MissingImage",
        ("'image': text of 9 bytes", "-F file=@photo.jpg"),
    ),
    "text and an empty file input": (
        form(text("image", "text"), EMPTY_INPUT),
        400,
        "MissingImage",
        ("'image': text of 4 bytes", "'photo': empty file"),
    ),
    "two files that are not images": (
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
    "base64 text that is not an image": (
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
    "an image in a text field named like an option": (
        form(text("prompt", PNG)),
        400,
        "MissingImage",
        ("'prompt'",),
    ),
    "an empty file": (form(file("file", b"")), 400, "EmptyImage", ()),
    "an empty file in a field with any name": (
        form(file("upload", b""), text("prompt", "x")),
        400,
        "EmptyImage",
        (),
    ),
    "a text file": (form(file("file", NO_IMAGE)), 415, "UnsupportedFormat", ("PNG",)),
    "a document": (
        form(file("upload", b"%PDF-1.7\n%"), EMPTY_INPUT),
        415,
        "UnsupportedFormat",
        ("PDF",),
    ),
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
    "an option that is sent as a file and is too long": (
        form(file("prompt", b"x" * (SNIFF_BYTES + 1)), file("file", PNG)),
        422,
        "OptionsInvalid",
        (f"The form field prompt has more than {SNIFF_BYTES} bytes",),
    ),
    "base64 text and a character that is not base64": (
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
    "a different boundary": (b"--other\r\n" + bytes(100), 400, "BadRequest", ("boundary",)),
    "an endless preamble": (
        b"x" * 10_000 + form(file("file", PNG)),
        400,
        "BadRequest",
        ("boundary",),
    ),
    "an empty body": (b"", 400, "BadRequest", ("Its body is empty",)),
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
async def test_form_that_is_malformed_or_has_no_single_clear_image_is_refused(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, case: str, piece: int | None
) -> None:
    body, status, reason, words = REFUSED[case]
    response = await send(client, body, piece)
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (status, reason), problem["detail"]
    assert [word for word in words if word not in problem["detail"]] == [], problem["detail"]
    assert len(problem["detail"]) < 2000
    assert (cluster.jobs, bucket.objects) == ({}, {})
