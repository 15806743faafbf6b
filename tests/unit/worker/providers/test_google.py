"""Tests of the google describer, in which Google's client library calls a fake REST server."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from fakes.serving import served
from fakes.vision import FAULTS, KEY, FakeVision
from pictures import encoded, halves, noise
from PIL import Image
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import Describer, Setup, load

PICTURE = encoded(halves(), "WebP")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[FakeVision, str]]:
    fake = FakeVision()
    with served(fake.app) as url:
        yield fake, url


@asynccontextmanager
async def google_describer(url: str, key: str = KEY) -> AsyncIterator[Describer]:
    setup = Setup(options={"endpoint": url}, environment={"GOOGLE_API_KEY": key})
    describer = load("google", setup)
    try:
        yield describer
    finally:
        await describer.close()


async def describe(
    server: tuple[FakeVision, str], *faults: str, **describer_args: Any
) -> Description:
    fake, url = server
    fake.requests.clear()
    fake.next.clear()
    fake.next.extend(faults)

    async with google_describer(url, **describer_args) as describer:
        description = await describer.describe(PICTURE, Options())
        assert isinstance(description, Description)
        return description


async def test_google_description_includes_confidences(server: tuple[FakeVision, str]) -> None:
    found = await describe(server)

    assert found.description.splitlines() == [
        "Image Description:",
        "- Likely contains: dog (97 %), grass (81 %)",
        "- Possibly contains: cat (55 %)",
        "- Faces: 2",
        "- Text: “BEWARE OF THE DOG”",
        "- May be unsafe: likely violence, possibly medical content",
    ]
    assert found.alt == "Likely contains dog and grass, 2 faces, some text"
    assert found.caption == "Likely contains dog and grass, 2 faces, some text."
    assert (found.tags, found.text, found.model) == (
        ["dog", "grass"],
        "BEWARE\nOF THE DOG",
        "cloud-vision",
    )
    assert found.facts["faces"] == 2


async def test_google_description_says_that_nothing_was_recognized(
    server: tuple[FakeVision, str],
) -> None:
    found = await describe(server, "blank")
    assert found.description == "Image Description:\n- Nothing was recognized"
    assert found.alt == "Nothing was recognized"


async def test_google_receives_one_small_picture_without_metadata(
    server: tuple[FakeVision, str],
) -> None:
    fake, url = server
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    async with google_describer(url) as describer:
        await describer.describe(encoded(noise(4000, 300), "JPEG", exif=exif), Options())

    (request,) = fake.requests.pop()["requests"]
    picture = base64.b64decode(request["image"]["content"])
    assert b"SECRET" not in picture
    with Image.open(BytesIO(picture)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (1600, 120))

    assert len(request["features"]) == 4


CASES = [
    ("rate_limited", Reason.RATE_LIMITED, 9.0),
    ("no_billing", Reason.QUOTA_EXHAUSTED, None),
    ("no_api", Reason.CREDENTIALS_REFUSED, None),
    ("server_error", Reason.PROVIDER_UNAVAILABLE, None),
    ("unavailable", Reason.PROVIDER_UNAVAILABLE, None),
    ("bad_request", Reason.REQUEST_REFUSED, None),
    ("html", Reason.PROVIDER_UNAVAILABLE, None),
    ("nothing", Reason.EMPTY_ANSWER, None),
    ("bad_image", Reason.IMAGE_UNREADABLE, None),
    ("busy_image", Reason.PROVIDER_UNAVAILABLE, None),
]


@pytest.mark.parametrize(("fault", "reason", "seconds"), CASES)
async def test_each_google_fault_is_reported_with_its_reason(
    server: tuple[FakeVision, str], fault: str, reason: Reason, seconds: float | None
) -> None:
    with pytest.raises(DescribeError) as caught:
        await describe(server, fault)
    assert (caught.value.reason, caught.value.retry_after) == (reason, seconds), (
        caught.value.message
    )
    assert len(server[0].requests) == 1


def test_every_fault_of_the_fake_vision_server_is_tested() -> None:
    assert {fault for fault, _, _ in CASES} | {"blank"} == set(FAULTS)


async def test_rejected_google_key_is_not_quoted(server: tuple[FakeVision, str]) -> None:
    with pytest.raises(DescribeError) as caught:
        await describe(server, key="AIzaWrong-but-secret")
    assert caught.value.reason is Reason.CREDENTIALS_REFUSED
    assert "AIza" not in caught.value.message


async def test_unreachable_google_endpoint_is_reported_as_unavailable() -> None:
    async with google_describer("http://127.0.0.1:9") as describer:
        with pytest.raises(DescribeError) as caught:
            await describer.describe(PICTURE, Options())
    assert caught.value.reason is Reason.PROVIDER_UNAVAILABLE


@pytest.mark.parametrize(
    "text", ["{not json with a secret", '{"type": "service_account", "private_key": "secret"}']
)
def test_invalid_service_account_is_rejected_and_not_quoted(text: str) -> None:
    with pytest.raises(DescribeError, match="GOOGLE_SERVICE_ACCOUNT_JSON") as caught:
        load("google", Setup(environment={"GOOGLE_SERVICE_ACCOUNT_JSON": text}))
    assert caught.value.reason is Reason.CREDENTIALS_REFUSED
    assert "secret" not in caught.value.message


def test_missing_google_credentials_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # do not look for Google Cloud's metadata server
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(DescribeError, match="GOOGLE_API_KEY") as caught:
        load("google")
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
