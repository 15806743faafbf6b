"""Tests of preparing a picture for a provider: rotating, scaling and converting it to RGB."""

from io import BytesIO

import pytest
from pictures import animation, encoded, halves, noise
from PIL import Image, ImageDraw
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.imaging.picture import decoding_bytes
from vision_node_describer.describers.remote.upload import Bounds, preparation_bytes, prepare_upload


@pytest.mark.parametrize(
    ("size", "bounds", "expected"),
    [
        ((4000, 3000), Bounds(2048, 768), (1024, 768)),
        ((8000, 1000), Bounds(2048, 768), (2048, 256)),
        ((1000, 4000), Bounds(2048, 768), (512, 2048)),
        ((640, 480), Bounds(2048, 768), (640, 480)),
        ((5000, 1), Bounds(512), (512, 1)),
        ((1, 1), Bounds(512), (1, 1)),
    ],
)
def test_picture_fits_the_bounds(
    size: tuple[int, int], bounds: Bounds, expected: tuple[int, int]
) -> None:
    assert bounds.fit(*size) == expected


def upload_of(image: bytes, bounds: Bounds = Bounds(2048)) -> Image.Image:  # noqa: B008  # frozen
    upload = prepare_upload(image, bounds)
    with Image.open(BytesIO(upload.data)) as opened:
        opened.load()
        assert (opened.size, opened.get_format_mimetype()) == (
            (upload.width, upload.height),
            upload.media_type,
        )
        assert opened.mode == "RGB"
        return opened.copy()


def is_close(picture: Image.Image, at: tuple[int, int], color: tuple[int, int, int]) -> bool:
    found = picture.getpixel(at)
    return isinstance(found, tuple) and all(
        abs(a - b) < 40 for a, b in zip(found, color, strict=True)
    )


# The stored picture is red on the left. The pixel of the uploaded picture at `red` must be red.
@pytest.mark.parametrize(
    ("orientation", "red"),
    [
        (1, (2, 20)),
        (2, (60, 20)),
        (3, (60, 20)),
        (4, (2, 20)),
        (5, (20, 2)),
        (6, (20, 2)),
        (7, (20, 60)),
        (8, (20, 60)),
    ],
)
def test_uploaded_picture_is_upright(orientation: int, red: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = upload_of(encoded(halves(), "JPEG", exif=exif, quality=95))
    assert picture.size == ((64, 48) if orientation < 5 else (48, 64))
    assert is_close(picture, red, (255, 0, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_picture_of_any_mode_is_uploaded_as_rgb(mode: str) -> None:
    gray = Image.linear_gradient("L")
    deep = Image.frombytes(
        "I;16", gray.size, b"".join(2 * bytes([value]) for value in gray.tobytes())
    )
    picture = upload_of(encoded(deep if mode == "I;16" else gray.convert(mode), "PNG"))
    assert is_close(picture, (128, 2), (0, 0, 0))
    assert is_close(picture, (128, 253), (255, 255, 255))


def test_cmyk_picture_is_uploaded_as_rgb() -> None:
    assert is_close(upload_of(encoded(halves("CMYK"), "JPEG")), (60, 20), (0, 0, 255))


def test_transparent_areas_are_uploaded_as_white() -> None:
    drawing = Image.new("RGBA", (100, 60), (0, 0, 0, 0))
    ImageDraw.Draw(drawing).rectangle((10, 10, 50, 50), fill="black")
    picture = upload_of(encoded(drawing, "PNG"))
    assert is_close(picture, (90, 30), (255, 255, 255))
    assert is_close(picture, (30, 30), (0, 0, 0))


@pytest.mark.parametrize(
    ("image", "media_type"),
    [
        (encoded(halves(), "PNG"), "image/png"),
        (animation("GIF"), "image/png"),
        (encoded(noise(1500, 1000), "PNG"), "image/jpeg"),  # 4 MB as PNG
        (encoded(halves(), "WebP"), "image/jpeg"),
        (encoded(halves(), "AVIF", speed=10), "image/jpeg"),
    ],
)
def test_drawings_are_uploaded_as_png_and_photographs_as_jpeg(
    image: bytes, media_type: str
) -> None:
    upload = prepare_upload(image, Bounds(2048))
    assert upload.media_type == media_type
    assert len(upload.data) < 2_000_000


def test_unreadable_files_are_rejected_before_upload() -> None:
    for image, reason in (
        (b"", Reason.IMAGE_UNREADABLE),
        (b"<svg/>", Reason.UNSUPPORTED_FORMAT),
        (encoded(noise(300, 200), "JPEG")[:5000], Reason.IMAGE_UNREADABLE),
    ):
        with pytest.raises(DescribeError) as caught:
            prepare_upload(image, Bounds(512))
        assert caught.value.reason is reason


def test_preparation_memory_covers_decoding_and_scaling() -> None:
    image = encoded(Image.new("L", (4000, 3000)), "JPEG")
    decoding = decoding_bytes(image)

    assert (
        decoding
        < preparation_bytes(image, Bounds(512))
        < preparation_bytes(image, Bounds(2048))
        <= 4 * decoding
    )
    assert preparation_bytes(b"rubbish", Bounds(512)) == 0
