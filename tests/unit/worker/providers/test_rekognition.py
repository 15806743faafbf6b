"""Tests of the rekognition describer, in which boto3 calls a fake Rekognition server."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from fakes.rekognition import FAULTS, KEY_ID, FakeRekognition
from fakes.serving import served
from pictures import BLUE, RED, encoded, halves, noise
from PIL import Image
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import Describer, Setup, load

PICTURE = encoded(halves(), "GIF")
KEYS = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": "very-secret",
    "AWS_REGION": "eu-west-1",
}

Server = tuple[FakeRekognition, str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    fake = FakeRekognition()
    with served(fake.app) as url:
        yield fake, url


@pytest.fixture(autouse=True)
def no_other_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")


@asynccontextmanager
async def rekognition_describer(
    url: str, environment: dict[str, str], **options: Any
) -> AsyncIterator[Describer]:
    describer = load(
        "rekognition", Setup(options={"endpoint": url, **options}, environment=environment)
    )
    try:
        yield describer
    finally:
        await describer.close()


async def describe(
    server: Server,
    image: bytes = PICTURE,
    *,
    faults: tuple[str, ...] = (),
    keys: dict[str, str] = KEYS,
    **options: Any,
) -> Description:
    fake, url = server
    fake.requests.clear()
    fake.next.clear()
    fake.next.extend(faults)

    async with rekognition_describer(url, keys, **options) as describer:
        description = await describer.describe(image, Options())
        assert isinstance(description, Description)
        return description


async def test_rekognition_description_includes_confidences(server: Server) -> None:
    found = await describe(server)

    assert found.description.splitlines() == [
        "Image Description:",
        "- Likely contains: dog (97 %), grass (81 %)",
        "- Possibly contains: cat (55 %)",
        "- Faces: 1",
        "- Text: “BEWARE OF THE DOG”",
        "- May be unsafe: violence (83 %)",
    ]
    assert found.alt == "Likely contains dog and grass, 1 face, some text"
    assert (found.text, found.model) == ("BEWARE\nOF THE DOG", "rekognition")


async def test_only_chosen_features_are_requested(server: Server) -> None:
    found = await describe(server, features=["faces"])
    assert [operation for operation, _ in server[0].requests] == ["DetectFaces"]
    assert found.description == "Image Description:\n- Faces: 1"


async def test_rekognition_receives_a_picture_within_its_size_limit(server: Server) -> None:
    await describe(server, encoded(noise(3000, 2000), "PNG", pnginfo=None), features=["labels"])
    ((_, body),) = server[0].requests
    picture = base64.b64decode(body["Image"]["Bytes"])
    assert len(picture) < 5_000_000  # no picture compresses worse than noise
    with Image.open(BytesIO(picture)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (1920, 1280))


async def test_small_picture_gets_a_border_for_rekognition(server: Server) -> None:
    await describe(server, features=["labels"])
    ((_, body),) = server[0].requests
    with Image.open(BytesIO(base64.b64decode(body["Image"]["Bytes"]))) as opened:
        assert opened.size == (80, 80)
        assert [opened.getpixel(at) for at in ((0, 0), (63, 47), (79, 79))] == [
            RED,
            BLUE,
            (255, 255, 255),
        ]


CASES = {
    "AccessDeniedException": Reason.CREDENTIALS_REFUSED,
    "ExpiredTokenException": Reason.CREDENTIALS_REFUSED,
    "ImageTooLargeException": Reason.IMAGE_TOO_LARGE,
    "InternalServerError": Reason.PROVIDER_UNAVAILABLE,
    "InvalidImageFormatException": Reason.IMAGE_UNREADABLE,
    "InvalidParameterException": Reason.REQUEST_REFUSED,
    "ProvisionedThroughputExceededException": Reason.RATE_LIMITED,
    "ServiceUnavailableException": Reason.PROVIDER_UNAVAILABLE,
    "ThrottlingException": Reason.RATE_LIMITED,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_rekognition_fault_is_reported_with_its_reason(
    server: Server, fault: str
) -> None:
    with pytest.raises(DescribeError) as caught:
        await describe(server, faults=(fault,), features=["labels"])
    assert caught.value.reason is CASES[fault]
    assert caught.value.retry_after == (4.0 if caught.value.reason.retryable else None)
    assert len(server[0].requests) == 1


async def test_failure_of_one_feature_fails_the_description(server: Server) -> None:
    with pytest.raises(DescribeError) as caught:
        await describe(server, faults=("InternalServerError",))
    assert caught.value.reason is Reason.PROVIDER_UNAVAILABLE


async def test_rejected_aws_key_is_not_quoted(server: Server) -> None:
    with pytest.raises(DescribeError) as caught:
        await describe(server, keys=KEYS | {"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, features=["labels"])
    assert caught.value.reason is Reason.CREDENTIALS_REFUSED
    assert "AKIA" not in caught.value.message


async def test_missing_aws_credentials_are_reported(server: Server) -> None:
    with pytest.raises(DescribeError, match="no AWS credentials") as caught:
        await describe(server, keys={"AWS_REGION": "eu-west-1"})
    assert caught.value.reason is Reason.CREDENTIALS_MISSING


async def test_credentials_may_come_from_the_pod_identity(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This test also shows that botocore can parse dates with a version of python-dateutil that
    # botocore does not officially support (see override-dependencies in pyproject.toml).
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server[1]}/credentials")
    found = await describe(server, keys={"AWS_REGION": "eu-west-1"}, features=["labels"])
    assert "dog" in found.description


@pytest.mark.parametrize(
    ("variables", "reason"),
    [({"AWS_ACCESS_KEY_ID": KEY_ID}, Reason.OPTIONS_INVALID), ({}, Reason.CREDENTIALS_MISSING)],
)
def test_missing_aws_region_is_reported(variables: dict[str, str], reason: Reason) -> None:
    with pytest.raises(DescribeError, match="AWS_REGION") as caught:
        load("rekognition", Setup(environment=variables))
    assert caught.value.reason is reason


async def test_unreachable_rekognition_endpoint_is_reported_as_unavailable() -> None:
    async with rekognition_describer("http://127.0.0.1:9", KEYS) as describer:
        with pytest.raises(DescribeError) as caught:
            await describer.describe(PICTURE, Options())
    assert caught.value.reason is Reason.PROVIDER_UNAVAILABLE
