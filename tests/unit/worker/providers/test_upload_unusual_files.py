"""Tests of uploading unusual files: truncated, with a color profile, or with several frames."""

from io import BytesIO

import pytest
from corpus.profiles import WRONG_WAY
from pictures import encoded, halves, noise
from PIL import Image
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.remote.upload import Bounds, prepare_upload

WHITE = Image.new("RGB", (64, 48), "white")
RED_NOISE = noise(320, 200).point([255] * 256 + [value // 8 for value in range(256)] * 2)


def uploaded(image: bytes, longest: int = 2048) -> Image.Image:
    """Return the picture that a provider would receive."""
    with Image.open(BytesIO(prepare_upload(image, Bounds(longest)).data)) as opened:
        opened.load()
        return opened.copy()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "BMP", "TIFF"])
@pytest.mark.parametrize("longest", [2048, 160])
def test_only_intact_rows_of_a_truncated_file_are_uploaded(kind: str, longest: int) -> None:
    image = encoded(RED_NOISE, kind)
    picture = uploaded(image[: len(image) * 8 // 10], longest)
    assert picture.width == min(320, longest)
    assert 0.5 < picture.height / picture.width * 320 / 200 < 0.9
    (least_red, _), (_, most_green), _ = picture.resize((32, 16)).getextrema()
    assert (least_red > 200, most_green < 60) == (True, True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
def test_colors_are_converted_to_srgb_and_the_profile_is_dropped(kind: str) -> None:
    image = encoded(Image.new("RGB", (64, 48), (255, 0, 0)), kind, icc_profile=WRONG_WAY)
    picture = uploaded(image)
    red, _, blue = picture.getpixel((30, 20))  # type: ignore[misc]
    assert (red < 60, blue > 200) == (True, True)
    assert "icc_profile" not in picture.info


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WebP"])
def test_first_frame_with_content_is_uploaded(kind: str) -> None:
    image = encoded(WHITE, kind, save_all=True, append_images=[halves()], duration=100)
    left, right = (uploaded(image).getpixel((x, 20)) for x in (5, 60))
    assert (left[0] > 200, right[2] > 200) == (True, True)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["HEIF", "TIFF"])
def test_heif_and_tiff_are_uploaded_as_jpeg(kind: str) -> None:
    upload = prepare_upload(encoded(halves(), kind), Bounds(512))
    assert (upload.media_type, upload.width, upload.height) == ("image/jpeg", 64, 48)


def test_file_with_too_few_rows_is_not_uploaded() -> None:
    with pytest.raises(DescribeError, match="of the picture is intact") as caught:
        prepare_upload(encoded(noise(320, 200), "JPEG")[:9000], Bounds(512))
    assert caught.value.reason is Reason.IMAGE_UNREADABLE
