"""Tests of custom describers, which are classes or containers, and of the two examples."""

import importlib.util
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakes.serving import served
from pictures import encoded, halves, noise
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import Describer, Setup, load, load_or_explain
from vision_node_describer.describers.fallback import load_fallback
from vision_node_describer.describers.providers.openai.describer import OpenAI

EXAMPLES = Path(__file__).parents[4] / "describer" / "examples"
PICTURE = encoded(halves(), "AVIF", speed=10)


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(("shade", "word"), [(250, "light"), (10, "dark")])
def test_example_class_describes_brightness(
    monkeypatch: pytest.MonkeyPatch, shade: int, word: str
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES / "own-class")
    image = encoded(Image.new("L", (40, 30), shade), "PNG")
    describer = load("brightness:Brightness")
    description = describer.describe(image, Options())
    assert isinstance(description, Description)
    assert description.alt == f"A {word} picture"
    assert describer.memory(image) > 0

    with pytest.raises(DescribeError) as caught:
        describer.describe(image[:-30], Options())

    assert caught.value.reason is Reason.IMAGE_UNREADABLE


@pytest.mark.parametrize("provider", ["nowhere:Nothing", "json:Nothing", "nowhere", "", "../etc"])
def test_unknown_provider_is_refused(provider: str) -> None:
    with pytest.raises(DescribeError) as caught:
        load(provider)
    assert caught.value.reason is Reason.DESCRIBER_NOT_FOUND


@pytest.mark.parametrize(
    ("provider", "environment", "reason"),
    [
        ("openai", {}, Reason.CREDENTIALS_MISSING),
        ("openai", {"OPENAI_API_KEY": "k", "DESCRIBER_OPTIONS": "[1]"}, Reason.OPTIONS_INVALID),
        ("http", {"DESCRIBER_OPTIONS": '{"url": 1}'}, Reason.OPTIONS_INVALID),
        ("metadata", {"TIMEOUT_SECONDS": "soon"}, Reason.OPTIONS_INVALID),
        ("unknown", {}, Reason.DESCRIBER_NOT_FOUND),
        # The constructor of Fraction does not accept a Setup.
        ("fractions:Fraction", {}, Reason.DESCRIBER_FAILED),
    ],
)
def test_worker_without_a_working_describer_fails_images_with_the_reason(
    provider: str, environment: dict[str, str], reason: Reason
) -> None:
    with pytest.raises(DescribeError) as caught:
        load_or_explain(provider, environment).describe(PICTURE, Options())
    assert caught.value.reason is reason


def test_setup_is_read_from_the_environment() -> None:
    environment = {"MODEL": "m", "DESCRIBER_OPTIONS": '{"a": 1}', "TIMEOUT_SECONDS": "90"}
    assert Setup.from_env(environment) == Setup("m", {"a": 1}, 90.0, environment)
    assert Setup.from_env({"MODEL": " "}) == Setup(environment={"MODEL": " "})


class FakeContainer:
    """Answers all requests with `answer`, and records the requests."""

    def __init__(self) -> None:
        self.answer: Response = JSONResponse({})
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/describe", self._describe, methods=["POST"])])

    async def _describe(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.body()))
        return self.answer


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[FakeContainer, str]]:
    container = FakeContainer()
    with served(container.app) as url:
        yield container, f"{url}/describe"


@asynccontextmanager
async def opened_describer(url: str, **options: Any) -> AsyncIterator[Describer]:
    describer = load("http", Setup(options={"url": url, **options}))
    try:
        yield describer
    finally:
        await describer.close()


async def describe(
    url: str, image: bytes = PICTURE, job_options: Any = None, **options: Any
) -> Description:
    async with opened_describer(url, **options) as describer:
        description = await describer.describe(image, Options.model_validate(job_options or {}))
        assert isinstance(description, Description)
        return description


async def ask(
    running: tuple[FakeContainer, str], answer: Response, **arguments: Any
) -> Description:
    container, url = running
    container.requests.clear()
    container.answer = answer
    return await describe(url, **arguments)


@pytest.fixture
def example() -> Iterator[str]:
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), load_module(EXAMPLES / "own-container" / "server.py").Handler
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


async def test_example_container_describes_pictures_and_refuses_other_paths(example: str) -> None:
    description = await describe(f"{example}/describe", job_options={"prompt": "Wie groß? 🐶"})
    assert re.fullmatch(
        r"Image Description:\nA JPEG of \d+ bytes\. You asked: Wie groß\? 🐶",
        description.description,
    )
    assert description.tags == ["jpeg"]
    with pytest.raises(DescribeError, match="POST a picture to /describe") as caught:
        await describe(f"{example}/elsewhere")

    assert caught.value.reason is Reason.REQUEST_REFUSED


async def test_container_receives_a_scaled_down_picture_and_the_options(
    running: tuple[FakeContainer, str],
) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "SECRET", 6
    job_options = {"prompt": "ä", "language": "de", "text": False, "fallback": "never"}
    image = encoded(noise(3000, 100), "JPEG", exif=exif)
    await ask(
        running,
        JSONResponse({"description": "x"}),
        image=image,
        job_options=job_options,
        longestSide=600,
    )

    ((headers, body),) = running[0].requests
    assert b"SECRET" not in body
    with Image.open(BytesIO(body)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (20, 600))

    assert headers["content-type"] == "image/jpeg"
    assert json.loads(headers["vision-node-options"]) == {
        "prompt": "ä",
        "language": "de",
        "text": False,
    }


async def test_container_may_answer_with_facts_model_and_usage(
    running: tuple[FakeContainer, str],
) -> None:
    answer = {
        "description": "A dog.",
        "alt": "Image of a dog",
        "facts": {"legs": 4},
        "model": "mine-2",
        "usage": {"inputTokens": 3, "outputTokens": 4},
        "fallback": {"from": "x", "reason": "y"},
    }

    found = await ask(running, JSONResponse(answer))
    assert (found.description, found.alt) == ("Image Description:\nA dog.", "A dog")
    assert (found.facts, found.model, found.fallback) == ({"legs": 4}, "mine-2", None)
    assert found.usage
    assert found.usage.output_tokens == 4


async def test_container_may_answer_with_plain_text(running: tuple[FakeContainer, str]) -> None:
    found = await ask(running, Response("A dog. It runs."))
    assert (found.description, found.caption) == ("Image Description:\nA dog. It runs.", "A dog.")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            JSONResponse({"reason": "ModelNotFound", "message": "no weights"}, 500),
            Reason.MODEL_NOT_FOUND,
        ),
        # A container must not use the reason Cancelled.
        (JSONResponse({"reason": "Cancelled"}, 400), Reason.REQUEST_REFUSED),
        (Response("busy", 429, {"retry-after": "3"}), Reason.RATE_LIMITED),
        (Response("starting", 503), Reason.PROVIDER_UNAVAILABLE),
        (
            Response(status_code=307, headers={"location": "http://127.0.0.1:1/"}),
            Reason.REQUEST_REFUSED,
        ),
        (JSONResponse({}), Reason.EMPTY_ANSWER),
        (Response(""), Reason.EMPTY_ANSWER),
        (Response('{"description": "x", "facts": {"a": NaN}}'), Reason.DESCRIBER_FAILED),
        (Response("[1, 2]"), Reason.DESCRIBER_FAILED),
        (Response("x" * ((1 << 20) + 1)), Reason.DESCRIBER_FAILED),
    ],
)
async def test_failure_of_a_container_is_reported_with_its_reason(
    running: tuple[FakeContainer, str], answer: Response, reason: Reason
) -> None:
    with pytest.raises(DescribeError) as caught:
        await ask(running, answer)
    assert caught.value.reason is reason, caught.value.message
    assert len(caught.value.message) < 500


COMPLETE_ANSWER = json.dumps({"description": "A dog. It runs.", "alt": "Dog"})


@pytest.mark.parametrize(
    "answer",
    [
        f"<think>A cat?</think>{COMPLETE_ANSWER}",
        "<think>A cat?</think>A dog. It runs.",
        f"Here it is:\n```JSON\n{COMPLETE_ANSWER}\n```",
        f"[{COMPLETE_ANSWER}]",
        json.dumps({"description": COMPLETE_ANSWER}),
        json.dumps({"result": {"Description": ["A dog.", "It runs."]}}),
    ],
)
async def test_container_may_answer_with_the_raw_text_of_a_model(
    running: tuple[FakeContainer, str], answer: str
) -> None:
    found = await ask(running, Response(answer))
    assert " ".join(found.description.split()) == "Image Description: A dog. It runs."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response(COMPLETE_ANSWER[:30]), Reason.DESCRIBER_FAILED),
        (Response(f"Here it is: {COMPLETE_ANSWER[:30]}"), Reason.DESCRIBER_FAILED),
        (Response("<think>A cat, or"), Reason.EMPTY_ANSWER),
        (Response("I'm sorry, I can't help with that."), Reason.CONTENT_REFUSED),
        (
            JSONResponse({"description": "I'm sorry, I can't help with that."}),
            Reason.CONTENT_REFUSED,
        ),
        (
            JSONResponse({"reason": "ModelNotFound", "message": "no weights"}),
            Reason.MODEL_NOT_FOUND,
        ),
        (JSONResponse({"error": {"code": 429, "message": "slow down"}}), Reason.RATE_LIMITED),
        (JSONResponse({"error": "out of cheese"}), Reason.PROVIDER_UNAVAILABLE),
        (Response('{"description": "x", "facts": {"a": 1e999}}'), Reason.DESCRIBER_FAILED),
    ],
)
async def test_answer_without_a_description_is_an_error_despite_status_200(
    running: tuple[FakeContainer, str], answer: Response, reason: Reason
) -> None:
    with pytest.raises(DescribeError) as caught:
        await ask(running, answer)
    assert caught.value.reason is reason, caught.value.message


async def test_container_that_is_down_is_reported_as_unavailable() -> None:
    with pytest.raises(DescribeError, match="is the container running") as caught:
        await describe("http://127.0.0.1:9/describe")
    assert caught.value.reason is Reason.PROVIDER_UNAVAILABLE


def test_fallback_is_read_from_the_environment() -> None:
    configured = {
        "FALLBACK_PROVIDER": "openai",
        "FALLBACK_MODEL": "llava",
        "FALLBACK_OPTIONS": '{"api": "chat"}',
    }
    describer = {"MODEL": "mine", "DESCRIBER_OPTIONS": '{"url": "x"}'}
    fallback = load_fallback(
        {**configured, **describer, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    )
    assert isinstance(fallback, OpenAI)
    assert (fallback._model, fallback._api) == ("llava", "chat")
    assert load_fallback({"MODEL": "mine"}) is None


def test_unusable_fallback_is_logged_and_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert load_fallback({"FALLBACK_PROVIDER": "openai"}) is None
    assert "CredentialsMissing" in caplog.text
