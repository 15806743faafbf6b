"""Describers of one's own: a class, and a container that answers POST /describe; the examples are both."""

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
from vision_node_describer.describers.fallback import standing_by
from vision_node_describer.describers.providers.openai.describer import OpenAI

EXAMPLES = Path(__file__).parents[4] / "describer" / "examples"
PICTURE = encoded(halves(), "AVIF", speed=10)


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(("shade", "word"), [(250, "light"), (10, "dark")])
def test_the_example_class(monkeypatch: pytest.MonkeyPatch, shade: int, word: str) -> None:
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
def test_providers_that_are_not_there(provider: str) -> None:
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
        ("nobody", {}, Reason.DESCRIBER_NOT_FOUND),
        (
            "fractions:Fraction",
            {},
            Reason.DESCRIBER_FAILED,
        ),  # a class that makes nothing of a Setup
    ],
)
def test_workers_that_can_t_work_say_why(
    provider: str, environment: dict[str, str], reason: Reason
) -> None:
    with pytest.raises(DescribeError) as caught:
        load_or_explain(provider, environment).describe(PICTURE, Options())
    assert caught.value.reason is reason


def test_what_a_worker_is_told() -> None:
    told = {"MODEL": "m", "DESCRIBER_OPTIONS": '{"a": 1}'}
    told |= {"TIMEOUT_SECONDS": "90"}
    assert Setup.from_env(told) == Setup("m", {"a": 1}, 90.0, told)
    assert Setup.from_env({"MODEL": " "}) == Setup(environment={"MODEL": " "})


class Container:
    """Answers with `answer`; keeps what was asked."""

    def __init__(self) -> None:
        self.answer: Response = JSONResponse({})
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/describe", self._describe, methods=["POST"])])

    async def _describe(self, request: Request) -> Response:
        self.asked.append((dict(request.headers), await request.body()))
        return self.answer


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Container, str]]:
    container = Container()
    with served(container.app) as url:
        yield container, f"{url}/describe"


@asynccontextmanager
async def made(url: str, **options: Any) -> AsyncIterator[Describer]:
    describer = load("http", Setup(options={"url": url, **options}))
    try:
        yield describer
    finally:
        await describer.close()


async def describe(
    url: str, image: bytes = PICTURE, wishes: Any = None, **options: Any
) -> Description:
    async with made(url, **options) as describer:
        description = await describer.describe(image, Options.model_validate(wishes or {}))
        assert isinstance(description, Description)
        return description


async def ask(running: tuple[Container, str], answer: Response, **how: Any) -> Description:
    container, url = running
    container.asked.clear()
    container.answer = answer
    return await describe(url, **how)


@pytest.fixture
def example() -> Iterator[str]:
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), module(EXAMPLES / "own-container" / "server.py").Handler
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


async def test_the_example_container(example: str) -> None:
    description = await describe(f"{example}/describe", wishes={"prompt": "Wie groß? 🐶"})
    assert re.fullmatch(
        r"Image Description:\nA JPEG of \d+ bytes\. You asked: Wie groß\? 🐶",
        description.description,
    )
    assert description.tags == ["jpeg"]
    with pytest.raises(DescribeError, match="POST a picture to /describe") as caught:
        await describe(f"{example}/elsewhere")

    assert caught.value.reason is Reason.REQUEST_REFUSED


async def test_what_is_sent(running: tuple[Container, str]) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "SECRET", 6
    wishes = {"prompt": "ä", "language": "de", "fallback": "never"}
    image = encoded(noise(3000, 100), "JPEG", exif=exif)
    await ask(
        running, JSONResponse({"description": "x"}), image=image, wishes=wishes, longestSide=600
    )
    ((headers, body),) = running[0].asked
    assert b"SECRET" not in body
    with Image.open(BytesIO(body)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (20, 600))

    assert headers["content-type"] == "image/jpeg"
    assert json.loads(headers["vision-node-options"]) == {"prompt": "ä", "language": "de"}


async def test_all_that_it_may_say(running: tuple[Container, str]) -> None:
    said = {
        "description": "A dog.",
        "alt": "Image of a dog",
        "facts": {"legs": 4},
        "model": "mine-2",
        "usage": {"inputTokens": 3, "outputTokens": 4},
        "fallback": {"from": "x", "reason": "y"},
    }
    found = await ask(running, JSONResponse(said))
    assert (found.description, found.alt) == ("Image Description:\nA dog.", "A dog")
    assert (found.facts, found.model, found.fallback) == ({"legs": 4}, "mine-2", None)
    assert found.usage
    assert found.usage.output_tokens == 4


async def test_plain_text_will_do(running: tuple[Container, str]) -> None:
    found = await ask(running, Response("A dog. It runs."))
    assert (found.description, found.caption) == ("Image Description:\nA dog. It runs.", "A dog.")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            JSONResponse({"reason": "ModelNotFound", "message": "no weights"}, 500),
            Reason.MODEL_NOT_FOUND,
        ),
        (JSONResponse({"reason": "Cancelled"}, 400), Reason.REQUEST_REFUSED),  # not its to say
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
async def test_how_it_may_fail(
    running: tuple[Container, str], answer: Response, reason: Reason
) -> None:
    with pytest.raises(DescribeError) as caught:
        await ask(running, answer)
    assert caught.value.reason is reason, caught.value.message
    assert len(caught.value.message) < 500


WHOLE = json.dumps({"description": "A dog. It runs.", "alt": "Dog"})


@pytest.mark.parametrize(
    "answer",
    [
        f"<think>A cat?</think>{WHOLE}",
        "<think>A cat?</think>A dog. It runs.",
        f"Here it is:\n```JSON\n{WHOLE}\n```",
        f"[{WHOLE}]",
        json.dumps({"description": WHOLE}),
        json.dumps({"result": {"Description": ["A dog.", "It runs."]}}),
    ],
)
async def test_what_a_model_in_it_wrote_is_read_as_any_model_s(
    running: tuple[Container, str], answer: str
) -> None:
    found = await ask(running, Response(answer))
    assert " ".join(found.description.split()) == "Image Description: A dog. It runs."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response(WHOLE[:30]), Reason.DESCRIBER_FAILED),
        (Response(f"Here it is: {WHOLE[:30]}"), Reason.DESCRIBER_FAILED),
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
async def test_what_is_no_description_is_an_error_with_http_200_too(
    running: tuple[Container, str], answer: Response, reason: Reason
) -> None:
    with pytest.raises(DescribeError) as caught:
        await ask(running, answer)
    assert caught.value.reason is reason, caught.value.message


async def test_a_container_that_is_not_up() -> None:
    with pytest.raises(DescribeError, match="is the container running") as caught:
        await describe("http://127.0.0.1:9/describe")
    assert caught.value.reason is Reason.PROVIDER_UNAVAILABLE


def test_who_stands_by_is_what_the_operator_tells() -> None:
    told = {
        "FALLBACK_PROVIDER": "openai",
        "FALLBACK_MODEL": "llava",
        "FALLBACK_OPTIONS": '{"api": "chat"}',
    }
    own = {"MODEL": "mine", "DESCRIBER_OPTIONS": '{"url": "x"}'}
    stand_in = standing_by({**told, **own, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    assert isinstance(stand_in, OpenAI)
    assert (stand_in._model, stand_in._api) == ("llava", "chat")
    assert standing_by({"MODEL": "mine"}) is None


def test_a_stand_in_that_cannot_work_is_logged_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert standing_by({"FALLBACK_PROVIDER": "openai"}) is None
    assert "CredentialsMissing" in caplog.text
