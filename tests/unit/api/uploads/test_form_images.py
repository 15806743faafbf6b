"""Tests of which part of a form is used as its image, for many kinds of valid forms."""

import base64
import textwrap
from urllib.parse import quote

import httpx
import pytest
from api_fakes import Cluster, FakeBucket
from form_bytes import BOUNDARY, file, form, part, text
from form_requests import BASE64, EMPTY_INPUT, JPEG, NO_IMAGE, NOISE, PNG, send

ACCEPTED: dict[str, tuple[bytes, str | None]] = {
    "the documented field": (form(file("file", PNG)), "photo.png"),
    "the older field": (form(file("image", PNG)), "photo.png"),
    "a field with any name": (form(file("upload", PNG)), "photo.png"),
    "a field whose name denotes a list": (form(file("files[]", PNG)), "photo.png"),
    "a field without a name": (form(part('form-data; filename="a.png"', PNG)), "a.png"),
    "a part without Content-Disposition": (form(part("Content-Type: image/png", PNG)), None),
    "a file in a field named like an option": (form(file("prompt", PNG)), "photo.png"),
    "no file name": (form(text("file", PNG)), None),
    "no file name in a field with any name": (form(text("upload", PNG)), None),
    "an empty file name": (form(file("file", PNG, "")), None),
    "only an encoded file name": (
        form(part("form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac%20rates.png", PNG)),
        "€ rates.png",
    ),
    "an encoded file name next to a plain one": (
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
    "an encoded file name that is malformed": (
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
    "a Windows path": (
        form(part(r'form-data; name="file"; filename="C:\new\a.png"', PNG)),
        "a.png",
    ),
    "parameters with unusual capitalization, order and spacing": (
        form(part('Form-Data ;FileName = "a.png" ; NAME="file"', PNG)),
        "a.png",
    ),
    "header names with unusual capitalization": (
        form(part('CONTENT-disposition: form-data; name="file"; filename="a.png"', PNG)),
        "a.png",
    ),
    "other headers before Content-Disposition": (
        form(
            part(
                "Content-Type: image/png",
                PNG,
                'Content-Disposition: form-data; name="x"; filename="a.png"',
            )
        ),
        "a.png",
    ),
    "an empty file input before the image": (form(EMPTY_INPUT, file("photo", PNG)), "photo.png"),
    "an empty file input after the image": (form(file("photo", PNG), EMPTY_INPUT), "photo.png"),
    "an empty file input with the documented name": (
        form(file("file", b"", ""), file("upload", PNG)),
        "photo.png",
    ),
    "an empty text field with the documented name": (
        form(text("file", ""), file("upload", PNG)),
        "photo.png",
    ),
    "another file next to the image": (
        form(file("notes", NO_IMAGE, "a.txt"), file("upload", PNG)),
        "photo.png",
    ),
    "text that begins like a bitmap": (
        form(text("image", "BMW or Audi? Which of the two is on the left?"), file("upload", PNG)),
        "photo.png",
    ),
    "base64 text": (form(text("file", BASE64)), None),
    "base64 text in a field with any name": (form(text("picture", BASE64)), None),
    "base64 text with line breaks": (
        form(text("file", base64.encodebytes(PNG).replace(b"\n", b"\r\n"))),
        None,
    ),
    "base64 text with short lines": (
        form(text("file", "\n".join(textwrap.wrap(BASE64.decode(), 5)))),
        None,
    ),
    "base64 text without padding": (form(text("file", BASE64.rstrip(b"="))), None),
    "base64 text in the URL-safe alphabet": (
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
    "a data: URL with unusual capitalization": (
        form(text("file", b" DATA:image/png; charset=x ;BASE64," + BASE64)),
        None,
    ),
    "a data: URL without a type": (form(text("file", b"data:;base64," + BASE64)), None),
    "a preamble": (b"This is a form.\r\nEnjoy.\r\n" + form(file("file", PNG)), "photo.png"),
    "an empty line before the form": (b"\r\n" + form(file("file", PNG)), "photo.png"),
    "an epilogue": (form(file("file", PNG)) + b"the end\r\n--\r\n", "photo.png"),
    "spaces after a boundary": (
        form(file("file", PNG)).replace(BOUNDARY.encode() + b"--", BOUNDARY.encode() + b" \t\r\n")
        + form(text("note", "")),
        "photo.png",
    ),
    "a normal boundary instead of the closing boundary": (
        file("file", PNG) + f"--{BOUNDARY}\r\n".encode(),
        "photo.png",
    ),
    "the same image twice": (form(file("a", PNG), file("b", PNG)), "photo.png"),
    "other images next to the documented field": (
        form(file("image", JPEG), file("preview", JPEG), file("file", PNG)),
        "photo.png",
    ),
    "other images next to the older field": (
        form(file("preview", JPEG), file("image", PNG)),
        "photo.png",
    ),
    "an image in a text field before an image in a file field": (
        form(text("thumb", PNG), file("b", JPEG)),
        None,
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
async def test_image_is_found_in_the_form(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, case: str, piece: int | None
) -> None:
    body, file_name = ACCEPTED[case]
    response = await send(client, body, piece)
    assert response.status_code == 202, response.text
    (job,) = cluster.jobs.values()
    wanted = NOISE if "alphabet" in case else PNG
    assert bucket.objects == {job.spec.image.key: wanted}
    assert job.spec.image.file_name == file_name


def test_encoded_file_name_matches_urllib() -> None:
    """Clients use a function such as `quote` to encode a file name like the one in ACCEPTED."""
    assert quote("€ rates.png").lower() == "%e2%82%ac%20rates.png"
