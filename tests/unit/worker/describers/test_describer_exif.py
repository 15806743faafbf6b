"""Tests that EXIF orientation, camera and time are read, but no place, owner or serial number."""

import struct
from typing import Any

import pytest
from pictures import BLUE, STORED_TURNED, encoded, halves
from PIL import Image, ImageOps
from vision_node_contract.models.description import Description, Options
from vision_node_describer.describers import load
from vision_node_describer.describers.metadata.exif import Exif, read_exif

# The describer ignores Pillow's warnings about invalid EXIF, but pytest turns them on again.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GREEN, YELLOW = (0, 160, 0), (255, 255, 0)
CORNERS = ((255, 0, 0), GREEN, BLUE, YELLOW)


def describe(image: bytes) -> Description:
    return load("metadata").describe(image, Options())


def upright() -> Image.Image:
    """Return a white picture of 96x64 pixels with a colored square in each corner.

    The colors of the squares are CORNERS, clockwise from the top left.
    """
    picture = Image.new("RGB", (96, 64), "white")
    for color, place in zip(CORNERS, ((0, 0), (64, 0), (64, 32), (0, 32)), strict=True):
        picture.paste(color, (*place, place[0] + 32, place[1] + 32))
    return picture


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    right, bottom = picture.width - 1, picture.height - 1
    places = ((0, 0), (right, 0), (right, bottom), (0, bottom))
    return [tuple(picture.convert("RGB").getpixel(place)) for place in places]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "AVIF"])
@pytest.mark.parametrize(("number", "turn"), STORED_TURNED.items())
def test_width_and_height_are_those_of_the_displayed_picture(
    kind: str, number: int, turn: Image.Transpose | None, tmp_path: Any
) -> None:
    stored = upright() if turn is None else upright().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = number
    image = encoded(stored, kind, exif=exif)
    path = tmp_path / "picture"
    path.write_bytes(image)

    if kind == "PNG":  # check that viewers would show this picture upright
        assert corners(ImageOps.exif_transpose(Image.open(path))) == list(CORNERS)

    facts = describe(image).facts
    assert (facts["width"], facts["height"], facts["orientation"]) == (96, 64, "landscape")
    assert (facts["storedWidth"], facts["storedHeight"]) == stored.size
    assert (facts["exifOrientation"], facts["aspectRatio"]) == (number, "3:2")


SECRETS = ("Secretowner", "Secretserial", "Secretcomment", "Secretplace", "Secretsoftware")


def with_secrets() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 5D Mark IV"
    for tag in (0x013B, 0x8298, 0x9C9D):  # artist, copyright, XPAuthor
        exif[tag] = "Secretowner"

    exif[0x0131], exif[0x010E] = "Secretsoftware", "Secretcomment"
    details = exif.get_ifd(0x8769)
    details[0x9003], details[0x9011] = "2023:07:14 12:34:56", "+05:45"
    details[0x9286] = b"ASCII\0\0\0Secretcomment"
    details[0xA430] = "Secretowner"
    details[0xA431] = details[0xA435] = "Secretserial"
    details[0x927C] = b"Secretserial in the maker's note"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (52.0, 31.0, 12.0), "E", (13.0, 24.0, 18.0)
    gps[0x1B] = b"ASCII\0\0\0Secretplace"

    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "AVIF"])
def test_description_contains_no_exif_data_except_camera_and_time(kind: str) -> None:
    image = encoded(halves(), kind, exif=with_secrets())
    assert all(secret.encode() in image for secret in SECRETS)
    description = describe(image)
    assert description.facts["camera"] == "Canon EOS 5D Mark IV"
    assert description.facts["takenAt"] == "2023-07-14T12:34:56"
    assert "- Camera: Canon EOS 5D Mark IV\n- Taken: 2023-07-14 12:34:56" in description.description
    everything = description.model_dump_json()
    for word in (*SECRETS, "GPS", "gps", "52", "31", "13.4", "05:45"):
        assert word not in everything.replace(str(len(image)), "")


def test_picture_with_a_camera_name_is_a_photograph() -> None:
    assert describe(encoded(halves(), "PNG", exif=with_secrets())).facts["kind"] == "photograph"


def block(*entries: tuple[int, int, bytes], order: str = "<", count: int | None = None) -> bytes:
    """Return an EXIF block with these entries, each of which is a tag, a type and data."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    data_at = 8 + 2 + 12 * len(entries) + 4
    table, data = b"", b""

    for tag, kind, value in entries:
        size = {2: 1, 3: 2, 4: 4}.get(kind, 1)
        if len(value) <= 4:
            place = value.ljust(4, b"\0")
        else:
            place = struct.pack(order + "L", data_at + len(data))
            data += value

        table += struct.pack(order + "HHL", tag, kind, len(value) // size) + place

    number = struct.pack(order + "H", len(entries) if count is None else count)
    return head + struct.pack(order + "L", 8) + number + table + b"\0\0\0\0" + data


MAKE, MODEL, ORIENTATION, POINTER, TAKEN = 0x010F, 0x0110, 0x0112, 0x8769, 0x9003

CAMERAS = [
    (b"Canon\0", b"Canon EOS 5D\0", "Canon EOS 5D"),
    (b"NIKON CORPORATION\0", b"NIKON D70\0", "NIKON D70"),
    (b"Apple\0", b"iPhone 15 Pro\0", "Apple iPhone 15 Pro"),
    (b"Apple\0", b"", "Apple"),
    (b"", b"EX-Z40 \0junk", "EX-Z40"),
    (b"     \0", b"\0\0\0\0\0\0", None),
    (b"A\r\n- Key: x\x1b[31m\0", b"", "A - Key: x [31m"),
    ("Ev\u202eil\u2028\N{ZERO WIDTH SPACE}name".encode(), b"", "Ev il name"),
    (b"\xff\xfe\xfd\xfcok\0", b"", "ok"),
    (b"M" * 100_000, b"N" * 100_000, f"{'M' * 60}"),
    ("相机".encode() + b"\0", b"", "相机"),
]


@pytest.mark.parametrize(("make", "model", "camera"), CAMERAS, ids=range(len(CAMERAS)))
def test_camera_name_is_one_short_printable_line(
    make: bytes, model: bytes, camera: str | None
) -> None:
    exif = read_exif(block((MAKE, 2, make), (MODEL, 2, model)))
    assert exif.camera == camera


def test_malicious_camera_name_stays_on_its_line() -> None:
    exif = block((MAKE, 2, b"Evil\n- GPS: here\0\0\0"), (MODEL, 2, b"x\x00y" * 15_000))
    description = describe(encoded(halves(), "JPEG", exif=b"Exif\0\0" + exif))
    assert "\n- Camera: Evil - GPS: here x\n" in description.description + "\n"
    assert description.description.count("\n") == len(description.description.splitlines()) - 1


UNUSUAL: list[tuple[str, bytes | None, Exif]] = [
    ("none", None, Exif()),
    ("empty", b"", Exif()),
    ("garbage", b"garbage" * 100, Exif()),
    ("short header", b"II*\0\x08", Exif()),
    ("directory outside the block", b"II*\0\xff\xff\xff\xff", Exif()),
    ("string outside the block", block((MAKE, 2, b"long enough"))[:30], Exif()),
    ("count too high", block((ORIENTATION, 3, b"\x06\0"), count=65_535), Exif(orientation=6)),
    ("pointer to itself", block((POINTER, 4, b"\x08\0\0\0")), Exif()),
    ("orientation 0", block((ORIENTATION, 3, b"\0\0")), Exif()),
    ("orientation 9", block((ORIENTATION, 3, b"\x09\0")), Exif()),
    ("orientation as text", block((ORIENTATION, 2, b"6\0")), Exif()),
    ("empty orientation", block((ORIENTATION, 3, b"")), Exif()),
    ("camera as number", block((MAKE, 3, b"\x06\0")), Exif()),
    ("unknown type", block((MAKE, 99, b"what")), Exif()),
    ("big-endian", block((ORIENTATION, 3, b"\0\x08"), order=">"), Exif(orientation=8)),
    ("with header", b"Exif\0\0" + block((ORIENTATION, 3, b"\x03\0")), Exif(orientation=3)),
    ("clock never set", block((TAKEN, 2, b"0000:00:00 00:00:00\0")), Exif()),
    ("text instead of a date", block((TAKEN, 2, b"yesterday, at noon..\0")), Exif()),
]


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in UNUSUAL], ids=repr)
def test_invalid_exif_is_ignored(data: bytes | None, expected: Exif) -> None:
    assert read_exif(data) == expected


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_truncated_exif_raises_no_exception(cut: int) -> None:
    read_exif(with_secrets().tobytes()[:cut])


@pytest.mark.parametrize("name", [row[0] for row in UNUSUAL if row[1]])
def test_picture_with_invalid_exif_is_described(name: str) -> None:
    exif = next(row[1] for row in UNUSUAL if row[0] == name)
    assert exif is not None
    description = describe(encoded(halves(), "JPEG", exif=b"Exif\0\0" + exif))
    assert description.facts["storedWidth"] == 64
