"""What describers share that ask somebody else: turns, waits, pictures, wording, fallback."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pictures import animation, encoded, halves, noise
from PIL import Image, ImageDraw
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.fallback import instead_of, may_stand_in
from vision_node_describer.describers.imaging.picture import decoding_bytes
from vision_node_describer.describers.remote.answers.normalize import read_answer
from vision_node_describer.describers.remote.rate_limit_gate import (
    DEFAULT_BLOCK_SECONDS,
    RateLimitGate,
)
from vision_node_describer.describers.remote.retry_after import (
    MAX_WAIT_SECONDS,
    exhausted_limit_reset,
    retry_after,
)
from vision_node_describer.describers.remote.sanitize import clean, quote_provider, shorten
from vision_node_describer.describers.remote.upload import Bounds, preparation_bytes, prepare_upload

HEAVY = ("openai", "httpx2", "google", "boto3", "botocore", "requests")


@pytest.mark.parametrize("provider", ["metadata", "nothing"])
def test_a_describer_without_a_provider_imports_no_client(provider: str) -> None:
    load = f"from vision_node_describer.describers import load; load({provider!r})"
    code = f"import sys; {load}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert [name for name in HEAVY if name in ran.stdout.split()] == []


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


async def refusal(gate: RateLimitGate, patience: float) -> DescribeError:
    with pytest.raises(DescribeError) as caught:
        await gate.wait(patience)
    assert caught.value.reason is Reason.RATE_LIMITED
    return caught.value


async def test_a_hold_holds_everybody_and_the_longest_counts() -> None:
    clock = Clock()
    gate = RateLimitGate(clock, clock.sleep)
    gate.block(4)
    gate.block(1)
    await gate.wait(60)
    assert clock.slept == [4]
    await gate.wait(0)
    gate.block(None)
    assert (await refusal(gate, 1)).retry_after == DEFAULT_BLOCK_SECONDS


@pytest.mark.parametrize(("patience", "still"), [(5, 29), (40, None)])
async def test_a_hold_reaches_those_who_wait_already(patience: float, still: float | None) -> None:
    clock = Clock()
    gate = RateLimitGate(clock, clock.sleep)
    gate.block(1)

    async def meanwhile(seconds: float) -> None:
        gate._sleep = clock.sleep
        gate.block(30)
        clock.now += seconds

    gate._sleep = meanwhile

    if still:
        assert (await refusal(gate, patience)).retry_after == still
    else:
        await gate.wait(patience)
        assert clock.slept == [29]


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60),
        ({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "999999999"}, MAX_WAIT_SECONDS),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0.5s"}, 360.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3s"},
            MAX_WAIT_SECONDS,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "tomorrow"}, None),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "1s"}, None),
    ],
)
def test_waits(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == (seconds if seconds is None else pytest.approx(seconds))


def test_a_good_answer_without_room_left_says_when() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "retry-after": "9",
    }
    assert exhausted_limit_reset(headers) == 2


@pytest.mark.parametrize(
    ("size", "bounds", "fits"),
    [
        ((4000, 3000), Bounds(2048, 768), (1024, 768)),
        ((8000, 1000), Bounds(2048, 768), (2048, 256)),
        ((1000, 4000), Bounds(2048, 768), (512, 2048)),
        ((640, 480), Bounds(2048, 768), (640, 480)),
        ((5000, 1), Bounds(512), (512, 1)),
        ((1, 1), Bounds(512), (1, 1)),
    ],
)
def test_bounds(size: tuple[int, int], bounds: Bounds, fits: tuple[int, int]) -> None:
    assert bounds.fit(*size) == fits


def decoded(image: bytes, bounds: Bounds = Bounds(2048)) -> Image.Image:  # noqa: B008  # frozen
    upload = prepare_upload(image, bounds)
    with Image.open(BytesIO(upload.data)) as opened:
        opened.load()
        assert (opened.size, opened.get_format_mimetype()) == (
            (upload.width, upload.height),
            upload.media_type,
        )
        assert opened.mode == "RGB"
        return opened.copy()


def close(picture: Image.Image, at: tuple[int, int], color: tuple[int, int, int]) -> bool:
    found = picture.getpixel(at)
    return isinstance(found, tuple) and all(
        abs(a - b) < 40 for a, b in zip(found, color, strict=True)
    )


# Of a picture that is red on its left as stored: where red is as shown.
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
def test_pictures_leave_upright(orientation: int, red: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decoded(encoded(halves(), "JPEG", exif=exif, quality=95))
    assert picture.size == ((64, 48) if orientation < 5 else (48, 64))
    assert close(picture, red, (255, 0, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_leaves_as_rgb(mode: str) -> None:
    grey = Image.linear_gradient("L")
    deep = Image.frombytes(
        "I;16", grey.size, b"".join(2 * bytes([value]) for value in grey.tobytes())
    )
    picture = decoded(encoded(deep if mode == "I;16" else grey.convert(mode), "PNG"))
    assert close(picture, (128, 2), (0, 0, 0))
    assert close(picture, (128, 253), (255, 255, 255))


def test_cmyk_leaves_as_rgb() -> None:
    assert close(decoded(encoded(halves("CMYK"), "JPEG")), (60, 20), (0, 0, 255))


def test_what_is_transparent_leaves_white() -> None:
    drawing = Image.new("RGBA", (100, 60), (0, 0, 0, 0))
    ImageDraw.Draw(drawing).rectangle((10, 10, 50, 50), fill="black")
    picture = decoded(encoded(drawing, "PNG"))
    assert close(picture, (90, 30), (255, 255, 255))
    assert close(picture, (30, 30), (0, 0, 0))


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
def test_drawings_stay_sharp_and_photographs_small(image: bytes, media_type: str) -> None:
    upload = prepare_upload(image, Bounds(2048))
    assert upload.media_type == media_type
    assert len(upload.data) < 2_000_000


def test_the_same_limits_as_for_describing() -> None:
    for image, reason in (
        (b"", Reason.IMAGE_UNREADABLE),
        (b"<svg/>", Reason.UNSUPPORTED_FORMAT),
        (encoded(noise(300, 200), "JPEG")[:5000], Reason.IMAGE_UNREADABLE),
    ):
        with pytest.raises(DescribeError) as caught:
            prepare_upload(image, Bounds(512))
        assert caught.value.reason is reason


def test_memory_is_asked_for_what_is_decoded_and_scaled() -> None:
    image = encoded(Image.new("L", (4000, 3000)), "JPEG")
    decoding = decoding_bytes(image)
    assert (
        decoding
        < preparation_bytes(image, Bounds(512))
        < preparation_bytes(image, Bounds(2048))
        <= 4 * decoding
    )
    assert preparation_bytes(b"rubbish", Bounds(512)) == 0


@pytest.mark.parametrize(
    ("alt", "expected"),
    [
        ("An image of a dog", "A dog"),
        ("image of image of a dog", "A dog"),
        ("The photo shows a dog", "A dog"),
        ("A black and white photograph of a dog", "A dog"),
        ("Picture: a dog", "A dog"),
        ("Imagery of clouds", "Imagery of clouds"),
        ("A photo booth in a mall", "A photo booth in a mall"),
        ("A boy with a picture of a dog", "A boy with a picture of a dog"),
        ("a dog\n\tand a \u202ecat\x07", "A dog and a cat"),
        ("Image of", "The caption"),
        ("", "The caption"),
    ],
)
def test_alternative_texts(alt: str, expected: str) -> None:
    answer = {"description": "The body.", "caption": "The caption", "alt": alt}
    assert read_answer(json.dumps(answer), Options(), model=None, usage=None).alt == expected


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("short", 10, "short"),
        ("a few words here", 12, "a few words…"),
        ("愛" * 20, 10, "愛" * 9 + "…"),
        ("x " + "y" * 50, 40, "x " + "y" * 37 + "…"),
        ("abc", 1, "…"),
    ],
)
def test_shortened_between_words_where_there_are_any(text: str, most: int, expected: str) -> None:
    assert shorten(text, most) == expected


def test_clean_keeps_what_languages_need() -> None:
    assert clean("👩‍👩‍👧 می‌خواهم\tä\n1", 50) == "👩‍👩‍👧 می‌خواهم\tä\n1"
    assert clean("a\x00b\u202ec\ud800d\x1b[31m", 50) == "abcd[31m"


HOSTILE = [
    *(
        "```json " + "{" * 200_000,
        "{" * 500_000,
        '{"a":' * 100_000,
        "<think>" * 100_000,
        '[["a",' * 60_000,
    ),
    *('["a" ' * 80_000, '{"description": "' * 20_000, ',"alt":' * 50_000 + "}", "\n[" * 200_000),
    *(
        '{"alt": ' + '" , ' * 130_000,
        "{'description' : " * 25_000,
        '{"text": "", ' * 30_000,
        "{ //" * 100_000,
    ),
    *(
        '{\\"' * 100_000,
        "```json\n" * 50_000,
        '{"description": {"description": ' * 20_000,
        " " * 4_000_000,
    ),
    *(
        '{"description":' + "[" * 100_000,
        '"description": ' * 30_000,
        '{"tags": [' + '"a",' * 90_000 + "]}",
    ),
    "</think>\n{" * 50_000,
]

HOSTILE_PROSE = [
    *("</think>" * 100_000 + "A cat. " + '{"a": 1} ' * 10_000, "<" * 400_000, "." * 400_000 + "x"),
    *(
        "I'm sorry, " * 40_000,
        'a: {"description": "x", "z": 1}. ' * 12_000,
        '"\\"' * 100_000,
        "# a\n" * 1_000_000,
    ),
]


@pytest.mark.parametrize("hostile", HOSTILE + HOSTILE_PROSE, ids=lambda hostile: repr(hostile[:20]))
def test_a_hostile_length_costs_little_time(hostile: str) -> None:
    started = time.monotonic()
    with suppress(DescribeError) if hostile in HOSTILE_PROSE else pytest.raises(DescribeError):
        read_answer(hostile, Options(), model=None, usage=None)
    assert time.monotonic() - started < 1.5


def test_a_provider_s_words_are_quoted_without_secrets() -> None:
    assert quote_provider("key hunter2-secret\nis bad", "hunter2-secret") == "key [secret] is bad"
    assert (
        quote_provider("Incorrect API key provided: sk-ab***yz.")
        == "Incorrect API key provided: [secret]"
    )
    assert quote_provider("Authorization: Bearer 0123456789abcdef0") == "Authorization: [secret]"
    assert (
        quote_provider("skipped: Bearer authentication, sk-8")
        == "skipped: Bearer authentication, sk-8"
    )
    assert quote_provider(" \n") == "no explanation"
    assert len(quote_provider("x" * 5000)) == 300


@pytest.mark.parametrize(
    ("reason", "attempt", "wish", "expected"),
    [
        (Reason.PROVIDER_UNAVAILABLE, 3, None, True),
        (Reason.PROVIDER_UNAVAILABLE, 2, None, False),  # an outage may pass
        (Reason.RATE_LIMITED, 3, None, True),
        (Reason.ATTEMPT_TIMED_OUT, 3, None, True),
        (Reason.QUOTA_EXHAUSTED, 1, None, True),  # this does not pass by itself
        (Reason.QUOTA_EXHAUSTED, 1, "never", False),
        (Reason.PROVIDER_UNAVAILABLE, 3, "never", False),
        (Reason.IMAGE_UNREADABLE, 3, None, False),
        (Reason.IMAGE_TOO_LARGE, 3, None, False),
        (Reason.CREDENTIALS_REFUSED, 3, None, False),
        (Reason.CREDENTIALS_MISSING, 3, None, False),
        (Reason.MODEL_NOT_FOUND, 3, None, False),
        (Reason.CONTENT_REFUSED, 3, None, False),
        (Reason.EMPTY_ANSWER, 3, None, False),
    ],
)
def test_when_another_describer_stands_in(
    reason: Reason, attempt: int, wish: str | None, *, expected: bool
) -> None:
    options = Options.model_validate({"fallback": wish})
    assert (
        may_stand_in(DescribeError(reason, ""), options, attempt=attempt, max_attempts=3)
        is expected
    )


def test_the_stand_in_says_so() -> None:
    error = DescribeError(Reason.RATE_LIMITED, "")
    found = instead_of("openai", error, Description(description="d", alt="a", caption="c"))
    assert found.model_dump(by_alias=True)["fallback"] == {
        "from": "openai",
        "reason": "RateLimited",
    }
