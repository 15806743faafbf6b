"""Tests of the process that makes thumbnails, with real files and a real process."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from vision_node_api.services.images import thumbnail_process
from vision_node_api.services.images.thumbnail_process import NoThumbnailError, ThumbnailProcess


@pytest.fixture
async def process(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ThumbnailProcess]:
    """A process whose time limit a busy machine does not reach."""
    monkeypatch.setattr(thumbnail_process, "SECONDS", 300.0)
    found = ThumbnailProcess()
    yield found
    await found.close()


def encoded(
    kind: str, size: tuple[int, int] = (1200, 800), mode: str = "RGB", **save: Any
) -> bytes:
    """Return a file whose left half is red, or black in a mode without colors."""
    image = Image.new("RGB", size, "white")
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    out = BytesIO()
    image.convert(mode).save(out, kind, **save)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data), formats=["WEBP"])
    image.load()
    return image


@pytest.mark.parametrize(
    ("kind", "mode", "size"),
    [
        ("JPEG", "RGB", (512, 341)),
        ("JPEG", "CMYK", (512, 341)),
        ("JPEG", "L", (512, 341)),
        ("PNG", "RGBA", (512, 341)),
        ("PNG", "P", (512, 341)),
        ("PNG", "I;16", (512, 341)),
        ("PNG", "1", (512, 341)),
        ("WEBP", "RGB", (512, 341)),
        ("GIF", "P", (512, 341)),
        ("AVIF", "RGB", (512, 341)),
        ("BMP", "RGB", (512, 341)),
        ("TIFF", "RGB", (512, 341)),
        ("HEIF", "RGB", (512, 341)),
    ],
)
async def test_all_formats(
    process: ThumbnailProcess, kind: str, mode: str, size: tuple[int, int]
) -> None:
    found = opened(await process.make(encoded(kind, mode=mode)))
    assert found.size == size
    assert found.mode in ("RGB", "RGBA")


async def test_small_images_are_not_enlarged(process: ThumbnailProcess) -> None:
    assert opened(await process.make(encoded("PNG", (20, 10)))).size == (20, 10)


async def test_image_is_upright_and_has_no_metadata(process: ThumbnailProcess) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: the left side is the top
    exif[0x010F] = "a camera"
    found = opened(await process.make(encoded("JPEG", exif=exif.tobytes())))

    assert found.size == (341, 512)
    red, _, blue = found.convert("RGB").getpixel((170, 50))  # type: ignore[misc]
    assert red > 200
    assert blue < 100
    assert not found.getexif()
    assert b"camera" not in found.tobytes()


async def test_transparency_stays(process: ThumbnailProcess) -> None:
    out = BytesIO()
    Image.new("RGBA", (60, 60), (255, 0, 0, 0)).save(out, "PNG")
    assert opened(await process.make(out.getvalue())).getpixel((30, 30))[3] == 0  # type: ignore[index]


async def test_file_that_is_cut_off_has_a_thumbnail(process: ThumbnailProcess) -> None:
    data = encoded("JPEG")
    assert opened(await process.make(data[: len(data) * 2 // 3])).size == (512, 341)


def png_of_size(side: int) -> bytes:
    """Return a PNG of many pixels that compress to a few kilobytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        size = len(data).to_bytes(4, "big")
        return size + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    packer = zlib.compressobj()
    rows = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"\x89PNG" + bytes(100), "can't be decoded"),
        (b"<svg/>", "SVG"),
        (png_of_size(10_000), "too much memory"),
    ],
    ids=["damaged", "no image", "bomb"],
)
async def test_images_without_thumbnail(
    process: ThumbnailProcess, image: bytes, reason: str
) -> None:
    with pytest.raises(NoThumbnailError, match=reason):
        await process.make(image)
    assert opened(await process.make(encoded("PNG"))).size == (512, 341)


async def test_large_images_fit(process: ThumbnailProcess) -> None:
    assert opened(await process.make(png_of_size(6500))).size == (512, 512)
    assert opened(await process.make(encoded("JPEG", (10_000, 10_000)))).size == (512, 512)


async def test_process_that_hangs_is_replaced(
    process: ThumbnailProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await process.make(encoded("PNG"))
    first = process._process
    assert first
    first.send_signal(19)  # SIGSTOP
    with monkeypatch.context() as patch:
        patch.setattr(thumbnail_process, "SECONDS", 0.2)
        with pytest.raises(NoThumbnailError, match="more than"):
            await process.make(encoded("PNG"))

    assert first.returncode is not None
    assert opened(await process.make(encoded("PNG"))).size == (512, 341)


async def test_process_that_was_killed_is_replaced(process: ThumbnailProcess) -> None:
    await process.make(encoded("PNG"))
    assert process._process
    process._process.kill()
    with pytest.raises(NoThumbnailError, match="crashed"):
        await process.make(encoded("PNG"))
    assert opened(await process.make(encoded("PNG"))).size == (512, 341)


async def test_idle_process_ends(
    process: ThumbnailProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail_process, "IDLE_SECONDS", 0.0)
    await process.make(encoded("PNG"))
    idle = process._process
    assert idle
    async with asyncio.timeout(20):
        assert await idle.wait() == 0
    assert process._process is None


async def test_process_knows_no_secrets(
    process: ThumbnailProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    await process.make(encoded("PNG"))
    assert process._process
    with open(f"/proc/{process._process.pid}/environ", "rb") as environ:  # noqa: ASYNC230, PTH123
        assert b"canary" not in environ.read()
