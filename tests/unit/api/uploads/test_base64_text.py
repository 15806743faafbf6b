"""Tests of recognizing base64 text that encodes an image, and of decoding it piece by piece."""

import base64
import os

import pytest
from api_fakes import picture
from form_bytes import chunks
from vision_node_api.uploads.base64_text import Base64Decoder, base64_image_start

PNG = picture()
TEXT = base64.b64encode(PNG)


def decode(text: bytes, piece: int) -> bytes:
    decoder = Base64Decoder()
    return b"".join(map(decoder.write, chunks(text, piece))) + decoder.close()


@pytest.mark.parametrize("piece", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize("length", [*range(9), 999])
def test_text_is_decoded_in_pieces_of_any_size(length: int, piece: int) -> None:
    data = os.urandom(length)
    for text in (
        base64.b64encode(data),
        base64.b64encode(data).rstrip(b"="),
        base64.urlsafe_b64encode(data),
        base64.encodebytes(data),
        b" \t" + base64.encodebytes(data).replace(b"\n", b"\r\n"),
    ):
        assert decode(text, piece) == data


@pytest.mark.parametrize("piece", [1, 3, 1000])
@pytest.mark.parametrize(
    "text", [b"a", b"YQ==YQ==", b"YQ=a", b"Y*==", b"YWJj\0", b"YWJjYQ==\n=a", b"YWJj,"]
)
def test_invalid_base64_is_refused(text: bytes, piece: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text, piece)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (TEXT, 0),
        (TEXT[:60], 0),
        (b"\r\n " + TEXT, 0),
        (b"data:image/png;base64," + TEXT, 22),
        (b"data:application/octet-stream;name=a.png;base64," + TEXT, 48),
        (b"data:image/png," + TEXT, None),
        (b"data:image/png;base64" + TEXT, None),
        (b"data:" + b"x" * 300 + b";base64," + TEXT, None),
        (base64.b64encode(b"just a text, but not an image"), None),
        (base64.b64encode(b"BMW or Audi? Which of the two is on the left?"), None),
        (TEXT[:20], None),
        (b"Qk1x", None),
        (b"photo.jpg", None),
        (PNG, None),
        (b"", None),
    ],
)
def test_only_base64_text_of_an_image_is_recognized(text: bytes, start: int | None) -> None:
    assert base64_image_start(text) == start
