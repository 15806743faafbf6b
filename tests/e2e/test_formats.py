"""Tests of uploads: images in all modes and formats, hostile files and damaged images."""

import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import FAST_DESCRIBER
from pictures import animation, encoded, halves, noise
from PIL import Image

Facts = dict[str, Any]


def rotated(number: int) -> bytes:
    """Return a JPEG of 64x48 stored pixels with this EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = number
    return encoded(halves(), "JPEG", exif=exif)


def shown(width: int, height: int, kind: str, mode: str, **more: Any) -> Facts:
    return {"width": width, "height": height, "format": kind, "mode": mode, **more}


SIXTEEN_BIT = Image.new("I;16", (64, 48), 40000)

ODD: dict[str, tuple[bytes, Facts]] = {
    "PNG RGB": (encoded(halves(), "PNG"), shown(64, 48, "PNG", "RGB", colorMode="RGB color")),
    "PNG gray": (encoded(halves("L"), "PNG"), shown(64, 48, "PNG", "L", colorMode="grayscale")),
    "PNG palette": (encoded(halves("P"), "PNG"), shown(64, 48, "PNG", "P", colorMode="palette")),
    "PNG 1 bit": (encoded(halves("1"), "PNG"), shown(64, 48, "PNG", "1", bitsPerChannel=1)),
    "PNG 16 bit": (encoded(SIXTEEN_BIT, "PNG"), shown(64, 48, "PNG", "I;16", bitsPerChannel=16)),
    "PNG alpha": (
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 128)), "PNG"),
        shown(64, 48, "PNG", "RGBA", transparent=True),
    ),
    "PNG gray alpha": (encoded(halves("LA"), "PNG"), shown(64, 48, "PNG", "LA")),
    "JPEG RGB": (encoded(halves(), "JPEG"), shown(64, 48, "JPEG", "RGB")),
    "JPEG gray": (encoded(halves("L"), "JPEG"), shown(64, 48, "JPEG", "L")),
    "JPEG CMYK": (encoded(halves("CMYK"), "JPEG"), shown(64, 48, "JPEG", "CMYK", colorMode="CMYK")),
    "JPEG progressive": (encoded(halves(), "JPEG", progressive=True), shown(64, 48, "JPEG", "RGB")),
    "JPEG 1080p": (
        encoded(noise(1920, 1080), "JPEG"),
        shown(1920, 1080, "JPEG", "RGB", aspectRatio="16:9"),
    ),
    "JPEG rotated 3": (rotated(3), shown(64, 48, "JPEG", "RGB", exifOrientation=3)),
    "JPEG rotated 6": (
        rotated(6),
        shown(48, 64, "JPEG", "RGB", exifOrientation=6, orientation="portrait"),
    ),
    "JPEG rotated 8": (rotated(8), shown(48, 64, "JPEG", "RGB", exifOrientation=8, storedWidth=64)),
    "WebP": (encoded(halves(), "WebP"), shown(64, 48, "WebP", "RGB")),
    "WebP alpha": (
        encoded(Image.new("RGBA", (64, 48), (255, 0, 0, 0)), "WebP", lossless=True),
        shown(64, 48, "WebP", "RGBA", transparent=True),
    ),
    "WebP animated": (
        animation("WebP"),
        shown(64, 48, "WebP", "RGBA", frames=4, animationSeconds=1.0),
    ),
    "GIF": (encoded(halves("P"), "GIF"), shown(64, 48, "GIF", "P", frames=1)),
    "GIF animated": (animation("GIF"), shown(64, 48, "GIF", "P", frames=4, animationSeconds=1.0)),
    "AVIF": (encoded(halves(), "AVIF"), shown(64, 48, "AVIF", "RGB")),
    "BMP": (encoded(halves(), "BMP"), shown(64, 48, "BMP", "RGB")),
    "BMP 1 bit": (encoded(halves("1"), "BMP"), shown(64, 48, "BMP", "1")),
    "one pixel": (
        encoded(Image.new("RGB", (1, 1)), "PNG"),
        shown(1, 1, "PNG", "RGB", orientation="square"),
    ),
    "very thin": (encoded(Image.new("RGB", (1, 5000)), "PNG"), shown(1, 5000, "PNG", "RGB")),
}


def test_all_formats_are_described_simultaneously(
    api: httpx.Client,
    photos: list[Path],
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
) -> None:
    pictures = {path.name: (path.read_bytes(), facts_of(path)) for path in photos} | ODD
    assert len(pictures) >= 30

    def described(data: bytes) -> tuple[dict[str, Any], Facts]:
        job_id = submit(data)
        return ended(job_id), api.get(f"/result/{job_id}").json()

    with ThreadPoolExecutor(len(pictures)) as pool:
        answers = dict(
            zip(pictures, pool.map(described, (p[0] for p in pictures.values())), strict=True)
        )

    for name, (status, result) in answers.items():
        assert status["status"] == "done", (name, status)
        expected = pictures[name][1]
        assert {key: result["facts"].get(key) for key in expected} == expected, name
        dimensions = f"- Dimensions: {expected['width']}x{expected['height']} pixels"
        assert dimensions in result["description"], name


def facts_of(path: Path) -> Facts:
    with Image.open(path) as image:
        return shown(image.width, image.height, image.format or "", image.mode)


def bomb(side: int) -> bytes:
    """Return a PNG of about 60 bytes that claims to contain side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


HOSTILE: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "EmptyImage"),
    "text": (b"not an image\n" * 100, 415, "UnsupportedFormat"),
    "svg": (
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
        415,
        "UnsupportedFormat",
    ),
    "pdf": (b"%PDF-1.7\n", 415, "UnsupportedFormat"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "UnsupportedFormat"),
    "psd": (b"8BPS\x00\x01" + bytes(40), 415, "UnsupportedFormat"),
    "pixel bomb": (bomb(50_000), 413, "ImageTooLarge"),
    "21 MiB": (bytes(21 << 20), 413, "ImageTooLarge"),
    "40 MiB": (bytes(40 << 20), 413, "ImageTooLarge"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_uploads_are_refused_with_a_reason(api: httpx.Client, name: str) -> None:
    data, status, reason = HOSTILE[name]
    answer = api.post("/submit", files={"file": ("photo.jpg", data, "image/jpeg")})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["Content-Type"] == "application/problem+json"


NOISE = encoded(noise(64, 64), "PNG")

BROKEN = {
    "a third of a JPEG": encoded(noise(640, 480), "JPEG")[:70_000],
    "a third of a PNG": NOISE[:4000],
    "a third of a WebP": encoded(noise(64, 64), "WebP", lossless=True)[:4000],
    "a third of a GIF": encoded(noise(64, 64), "GIF")[:1800],
    "a flipped byte in a PNG": NOISE[:500] + bytes([NOISE[500] ^ 255]) + NOISE[501:],
}


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_image_is_refused_or_its_job_fails(
    api: httpx.Client, ended: Callable[[str], dict[str, Any]], name: str
) -> None:
    files = {"file": ("photo.jpg", BROKEN[name])}
    answer = api.post("/submit", files=files, data={"describer": FAST_DESCRIBER})
    if answer.status_code != 202:
        assert (answer.status_code, answer.json()["reason"]) == (422, "ImageUnreadable")
        return

    status = ended(answer.json()["job_id"])
    assert (status["status"], status["error"]["reason"]) == ("failed", "ImageUnreadable")
    assert status["attempts"] == 1
