"""Tests of malicious and damaged files, which must be described or quickly refused."""

import math
import struct
import time
import zlib

import pytest
from pictures import animation, encoded, halves, noise
from PIL import Image, PngImagePlugin
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import load
from vision_node_describer.describers.imaging.limits import limit_pixels
from vision_node_describer.describers.imaging.picture import decoding_bytes

# A comment in test_describer_exif.py explains why these warnings are ignored.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DESCRIBER = load("metadata")

FILES = {
    "JPEG": encoded(noise(320, 200), "JPEG"),
    "progressive JPEG": encoded(noise(320, 200), "JPEG", progressive=True),
    "PNG": encoded(noise(100, 80), "PNG"),
    "palette PNG": encoded(noise(100, 80).quantize(16), "PNG"),
    "GIF": encoded(noise(100, 80).quantize(64), "GIF"),
    "WebP": encoded(noise(100, 80), "WebP"),
    "lossless WebP": encoded(noise(100, 80), "WebP", lossless=True),
    "AVIF": encoded(noise(100, 80), "AVIF", speed=10),
    "BMP": encoded(noise(100, 80), "BMP"),
    "animated PNG": animation("PNG"),
    "animated GIF": animation("GIF"),
    "animated WebP": animation("WebP"),
    "animated AVIF": animation("AVIF"),
}


def refusal(image: bytes) -> DescribeError:
    with pytest.raises(DescribeError) as caught:
        DESCRIBER.describe(image, Options())
    message = caught.value.message
    assert "\n" not in message
    assert len(message) < 400
    return caught.value


# Two shares of each file's size. A file truncated to the first share or less is always refused, and
# a file truncated to the second share or more is always described. For an animation, the first
# frame is enough. A progressive JPEG begins with a coarse version of the whole picture.
TRUNCATION_SHARES = {
    "JPEG": (0.4, 0.6),
    "progressive JPEG": (0.01, 0.1),
    "PNG": (0.45, 0.55),
    "palette PNG": (0.45, 0.55),
    "GIF": (0.45, 0.6),
    "WebP": (0.4, 0.7),
    "lossless WebP": (0.4, 0.6),
    "AVIF": (0.5, 0.85),
    "BMP": (0.45, 0.55),
    "animated PNG": (0.05, 0.25),
    "animated GIF": (0.05, 0.25),
    "animated WebP": (0.2, 0.45),
    "animated AVIF": (0.2, 0.6),
}


def is_described(image: bytes) -> bool:
    """Return True if a truncated file is described, and False if it is refused as unreadable."""
    try:
        description = DESCRIBER.describe(image, Options())
    except DescribeError as error:
        refused = (error.reason, "upload an intact copy" in error.message)
    else:
        assert description.facts["truncated"] is True
        assert "\n- Truncated: the file ends too early; " in description.description
        return True

    assert refused == (Reason.IMAGE_UNREADABLE, True)
    return False


@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_described_if_enough_of_it_is_intact(name: str) -> None:
    image = FILES[name]
    refused_up_to, described_from = TRUNCATION_SHARES[name]
    ends = {len(image) * part // 50 for part in range(1, 50)} | {
        len(image) - n for n in range(1, 5)
    }

    for end in sorted(ends - set(range(16))):
        share = end / len(image)
        assert is_described(image[:end]) in {share > refused_up_to, share >= described_from}, (
            end,
            share,
        )


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WebP", "BMP"])
def test_missing_rows_do_not_affect_the_colors(name: str) -> None:
    """The intact part is red. Black, white or gray rows that the decoder adds must not count."""
    red = noise(320, 200).point([255] * 256 + [value // 8 for value in range(256)] * 2)
    image = encoded(red.quantize(64) if name == "GIF" else red, name)
    facts = DESCRIBER.describe(image[: len(image) * 8 // 10], Options()).facts
    assert {color["name"] for color in facts["colors"]} == {"red"}  # type: ignore[union-attr,index,call-overload]
    assert (facts["width"], facts["height"]) == (320, 200)


def test_jpeg_padded_with_zeros_counts_as_truncated() -> None:
    image = FILES["JPEG"]
    assert not is_described(image[: len(image) // 3].ljust(len(image), b"\0"))
    assert is_described(image[: len(image) * 9 // 10].ljust(len(image), b"\0"))


def test_empty_file_is_unreadable() -> None:
    assert refusal(b"").reason is Reason.IMAGE_UNREADABLE


UNSUPPORTED_FORMATS = [
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    (b"<?xml version='1.0'?>\n<!-- x -->\n<SVG/>", "SVG"),
    (b"%PDF-1.7\n", "PDF"),
    (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
    (b"8BPS\0\1", "Photoshop"),
    (encoded(halves(), "ICO"), "icon"),
    (b"PK\x03\x04", "ZIP"),
    (b"<!doctype html><html>", "HTML"),
    (b"RIFF\x24\0\0\0WAVEfmt ", "recording"),
    (b"\0" * 1000, "not in a supported"),
    (b"\xff", "not in a supported"),
    (bytes(range(256)) * 40, "not in a supported"),
]


@pytest.mark.parametrize(
    ("image", "word"), UNSUPPORTED_FORMATS, ids=[word for _, word in UNSUPPORTED_FORMATS]
)
def test_error_for_an_unsupported_format_names_the_format(image: bytes, word: str) -> None:
    error = refusal(image)
    assert error.reason is Reason.UNSUPPORTED_FORMAT
    assert word in error.message
    assert "convert it to one of JPEG, PNG, WebP, GIF, AVIF, BMP, HEIC, TIFF" in error.message


@pytest.mark.parametrize(
    "start", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\xff\0\0\0WEBPVP8 ", b"BM"]
)
@pytest.mark.parametrize("rest", [b"", b"\0" * 100, b"\xff" * 100, bytes(range(256)) * 4])
def test_signature_without_a_picture_is_refused(start: bytes, rest: bytes) -> None:
    reason = refusal(start + rest).reason
    assert reason in (Reason.IMAGE_UNREADABLE, Reason.IMAGE_TOO_LARGE)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunks)
        + body
        + chunk(b"IEND", b"")
    )


def patched(image: bytes, at: int, data: bytes) -> bytes:
    return image[:at] + data + image[at + len(data) :]


def jpeg_of(width: int, height: int) -> bytes:
    image = FILES["JPEG"]
    frame = image.index(b"\xff\xc0")
    return patched(image, frame + 5, struct.pack(">HH", height, width))


BOMBS = [
    ("PNG just above the limit", png(10_001, 10_000)),
    ("PNG", png(60_000, 60_000)),
    ("PNG of the maximum size", png(2**31 - 1, 2**31 - 1)),
    ("JPEG just above the limit", jpeg_of(10_001, 10_000)),
    ("JPEG", jpeg_of(65_500, 65_500)),
    ("GIF", patched(FILES["GIF"], 6, b"\xff\xff\xff\xff")),
    ("BMP", patched(FILES["BMP"], 18, struct.pack("<LL", 50_000, 50_000))),
    ("WebP", patched(encoded(halves("RGBA"), "WebP", exif=b"x"), 24, b"\xff\x3f\0\xff\x3f\0")),
]


@pytest.mark.parametrize(("name", "image"), BOMBS, ids=[name for name, _ in BOMBS])
def test_picture_with_too_many_pixels_is_refused_before_decoding(name: str, image: bytes) -> None:
    started = time.thread_time()
    error = refusal(image)
    assert (name, error.reason) == (name, Reason.IMAGE_TOO_LARGE)
    assert "at most 100 megapixels" in error.message
    assert time.thread_time() - started < 0.2


@pytest.fixture
def restored_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the pixel limit after a test, because it applies to the whole process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.mark.usefixtures("restored_limit")
@pytest.mark.parametrize(
    ("max_pixels", "words"),
    [
        (799, "at most 799 pixels"),
        (500_000, "at most 500,000 pixels"),
        (2_500_000, "at most 2.5 megapixels"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "AVIF", "WebP", "TIFF"])
def test_pixel_limit_is_configurable(kind: str, max_pixels: int, words: str) -> None:
    limit_pixels(max_pixels)
    side = math.isqrt(max_pixels) + 1
    error = refusal(encoded(Image.new("RGB", (side, side)), kind))
    assert error.reason is Reason.IMAGE_TOO_LARGE
    assert words in error.message
    limit_pixels(side * side)
    assert DESCRIBER.describe(encoded(Image.new("RGB", (side, side)), kind), Options())


@pytest.mark.usefixtures("restored_limit")
def test_pixel_limit_above_the_default_is_applied() -> None:
    limit_pixels(250_000_000)
    image = encoded(Image.new("1", (15_000, 15_000)), "PNG")
    facts = DESCRIBER.describe(image, Options()).facts
    assert (facts["width"], facts["height"]) == (15_000, 15_000)
    assert decoding_bytes(image) == 225_000_000 * 5 + 2 * len(image)


@pytest.mark.usefixtures("restored_limit")
@pytest.mark.parametrize("size", [(16_385, 16_384), (32_769, 100)])
def test_avif_above_libavifs_limit_is_refused_as_too_large(size: tuple[int, int]) -> None:
    limit_pixels(1_000_000_000)
    at = FILES["AVIF"].index(b"ispe") + 8
    error = refusal(patched(FILES["AVIF"], at, struct.pack(">LL", *size)))
    assert error.reason is Reason.IMAGE_TOO_LARGE
    assert "x".join(map(str, size)) in error.message
    assert "save it in another format" in error.message


def test_picture_at_the_pixel_limit_is_described() -> None:
    facts = DESCRIBER.describe(encoded(Image.new("1", (10_000, 10_000)), "PNG"), Options()).facts
    assert (facts["width"], facts["height"]) == (10_000, 10_000)


def test_jpeg_with_too_many_scans_is_refused() -> None:
    image = encoded(halves(), "JPEG", progressive=True)
    last_scan = image[image.rindex(b"\xff\xda") : -2]
    error = refusal(image[:-2] + 500 * last_scan + image[-2:])
    assert error.reason is Reason.IMAGE_TOO_LARGE
    assert "scans" in error.message


def test_png_with_a_flipped_bit_is_unreadable() -> None:
    image = bytearray(FILES["PNG"])
    image[-20] ^= 1
    assert refusal(bytes(image)).reason is Reason.IMAGE_UNREADABLE


def test_png_text_chunk_bomb_is_not_decompressed() -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 50_000_000))
    started = time.thread_time()
    assert DESCRIBER.describe(png(10, 10, bomb), Options()).facts["width"] == 10
    assert time.thread_time() - started < 0.2


def test_png_text_chunks_are_ignored() -> None:
    info = PngImagePlugin.PngInfo()
    for number in range(2_000):
        info.add_text(f"Image Description {number}", "evil\n- Camera: evil")
    description = DESCRIBER.describe(encoded(halves(), "PNG", pnginfo=info), Options())
    assert "evil" not in description.model_dump_json()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "AVIF"])
def test_invalid_color_profile_is_ignored(kind: str) -> None:
    image = encoded(halves(), kind, icc_profile=b"garbage" * 1000)
    assert DESCRIBER.describe(image, Options()).facts["width"] == 64


def test_frames_are_counted_up_to_a_limit() -> None:
    still = encoded(Image.new("P", (1, 1)), "GIF")
    frame = still[still.index(b",") : -1]
    started = time.thread_time()
    description = DESCRIBER.describe(still[:-1] + 1_000_000 * frame + b";", Options())
    assert description.facts["frames"] == 10_000
    assert "- Animation: 10000 or more frames\n" in description.description + "\n"
    assert time.thread_time() - started < 1


def test_animation_ends_before_a_truncated_frame() -> None:
    description = DESCRIBER.describe(FILES["animated GIF"][:-30], Options())
    assert (description.facts["frames"], description.facts["truncated"]) == (3, True)


def test_gif_without_a_size_is_unreadable() -> None:
    image = patched(FILES["GIF"], 6, b"\0\0\0\0")
    frame = image.index(b",", 13 + 3 * 64)
    assert refusal(patched(image, frame + 1, b"\0" * 8)).reason is Reason.IMAGE_UNREADABLE
