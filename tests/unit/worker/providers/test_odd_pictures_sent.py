"""What a provider is sent of odd files: the part that is there, in sRGB, of a frame that shows something."""

from io import BytesIO

import pytest
from corpus.profiles import WRONG_WAY
from pictures import encoded, halves, noise
from PIL import Image
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.remote.upload import Bounds, prepare_upload

WHITE = Image.new("RGB", (64, 48), "white")
RED_NOISE = noise(320, 200).point([255] * 256 + [value // 8 for value in range(256)] * 2)


def sent(image: bytes, longest: int = 2048) -> Image.Image:
    """Return the picture that a provider would see."""
    with Image.open(BytesIO(prepare_upload(image, Bounds(longest)).data)) as opened:
        opened.load()
        return opened.copy()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "BMP", "TIFF"])
@pytest.mark.parametrize("longest", [2048, 160])
def test_only_what_is_there_is_sent(kind: str, longest: int) -> None:
    image = encoded(RED_NOISE, kind)
    picture = sent(image[: len(image) * 8 // 10], longest)
    assert picture.width == min(320, longest)
    assert 0.5 < picture.height / picture.width * 320 / 200 < 0.9
    (least_red, _), (_, most_green), _ = picture.resize((32, 16)).getextrema()
    assert (least_red > 200, most_green < 60) == (True, True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
def test_colors_are_sent_in_srgb_and_without_a_profile(kind: str) -> None:
    image = encoded(Image.new("RGB", (64, 48), (255, 0, 0)), kind, icc_profile=WRONG_WAY)
    picture = sent(image)
    red, _, blue = picture.getpixel((30, 20))  # type: ignore[misc]
    assert (red < 60, blue > 200) == (True, True)
    assert "icc_profile" not in picture.info


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WebP"])
def test_the_frame_that_is_described_is_the_one_that_is_sent(kind: str) -> None:
    image = encoded(WHITE, kind, save_all=True, append_images=[halves()], duration=100)
    left, right = (sent(image).getpixel((x, 20)) for x in (5, 60))
    assert (left[0] > 200, right[2] > 200) == (True, True)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["HEIF", "TIFF"])
def test_pictures_of_phones_and_scanners_are_sent_as_jpeg(kind: str) -> None:
    upload = prepare_upload(encoded(halves(), kind), Bounds(512))
    assert (upload.media_type, upload.width, upload.height) == ("image/jpeg", 64, 48)


def test_what_has_too_little_is_not_sent() -> None:
    with pytest.raises(DescribeError, match="of the picture is there") as caught:
        prepare_upload(encoded(noise(320, 200), "JPEG")[:9000], Bounds(512))
    assert caught.value.reason is Reason.IMAGE_UNREADABLE
