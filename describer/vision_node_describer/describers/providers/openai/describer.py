"""Describes by a model of OpenAI, or of any server with its protocol (vLLM, Ollama, LocalAI, Azure)."""

import logging

import httpx2
from openai import APIError, AsyncOpenAI, Omit, RequestOptions, omit
from pydantic import Field
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from ...interface import Setup
from ...remote.answers.normalize import read_answer
from ...remote.base import Asking, ProviderOptions
from ...remote.bounded_http import BoundedClient
from ...remote.retry_after import exhausted, retry_after
from ...remote.sanitize import said
from ...remote.upload import Bounds, Upload, prepare, upload_bytes
from . import protocol as wire
from .deprecation import announced, published
from .endpoint import Endpoint, endpoint_of
from .errors import Asked, reason_for, refused_fields
from .prompt import wishes

DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_BASE_URL = "https://api.openai.com/v1"

LOW_DETAIL = Bounds(longest=512)
HIGH_DETAIL = Bounds(longest=2048, shortest=768)
"""What OpenAI scales a picture down to before it looks
(platform.openai.com/docs/guides/images-vision, "Calculating costs"): more pixels would only take
longer to send."""

_OPENAI_TOKENS = 16_384
"""What gpt-4o-mini writes at most; a reasoning model thinks within it, too."""

_OTHER_TOKENS = 4096
"""For servers whose context is often 8,192 tokens and holds the picture as well."""

_CONNECT_SECONDS = 5.0

_MAX_ANSWER_BYTES = 4 << 20
"""A description has some kilobytes, a reasoning model's thoughts perhaps hundreds."""

log = logging.getLogger(__name__)

# One line a request, with the address; ours say more.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class OpenAIOptions(ProviderOptions):
    """`options` of a Describer with provider openai."""

    api: wire.Api | None = None
    """By default the Responses API at OpenAI and chat completions elsewhere."""
    max_output_tokens: int | None = Field(default=None, ge=16, le=200_000)


class OpenAI(Asking):
    """Asks one model at one server."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = OpenAIOptions.of(setup)
        endpoint = endpoint_of(setup.variable("OPENAI_BASE_URL") or DEFAULT_BASE_URL)
        own = endpoint.is_openai
        self._endpoint = endpoint
        self._key = _key(setup, needed=own)
        self._model = setup.model or setup.variable("OPENAI_VISION_MODEL") or DEFAULT_MODEL
        self._who = Asked(endpoint.host, self._model, self._key, endpoint.base_url)
        self._api: wire.Api = options.api or ("responses" if own else "chat")
        self._max_tokens = options.max_output_tokens or (_OPENAI_TOKENS if own else _OTHER_TOKENS)
        self._tokens_field = "max_completion_tokens" if own else "max_tokens"
        self._unknown: frozenset[str] = frozenset()
        self._warning = published(self._model) if own else None
        self._client = _client(endpoint, self._key)

    def memory(self, image: bytes) -> int:
        """Return what decoding and scaling take at most, in bytes."""
        return upload_bytes(image, HIGH_DETAIL)

    def prepare(self, image: bytes, options: Options) -> Upload:
        """Return the picture that is sent."""
        return prepare(image, LOW_DETAIL if options.detail == "low" else HIGH_DETAIL)

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture.

        Raises:
            DescribeError: with one of the reasons in docs/describers/openai.md.
        """
        detail = options.detail or "auto"
        question = wire.Question(self._model, prepared, wishes(options), detail, self._max_tokens)
        reply = await self._asked(lambda seconds: self._reply(question, seconds))
        model = reply.model or self._model
        return read_answer(reply.text, options, model=model, usage=reply.usage, finish=reply.finish)

    def warnings(self) -> list[str]:
        """Return that the model will be shut down, if that is known."""
        return [self._warning] if self._warning else []

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _reply(self, question: wire.Question, seconds: float) -> wire.Reply:
        """Ask; where the server doesn't know a field that can be done without, ask without it from now on."""
        while True:
            path, whole = self._request(question)
            body = {name: value for name, value in whole.items() if name not in self._unknown}
            try:
                answer = await self._client.post(
                    path, cast_to=httpx2.Response, body=body, options=self._how(seconds)
                )
                return self._read(answer)
            except APIError as error:
                refused = refused_fields(error) & body.keys()
                if not refused:
                    raise reason_for(error, self._who) from error
                self._unknown |= refused

    def _how(self, seconds: float) -> RequestOptions:
        """Return what goes with each request. Azure wants a key in a header of its own, and in no other."""
        timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
        if not self._key or not self._endpoint.wants_api_key:
            return {"timeout": timeout}
        headers: dict[str, str | Omit] = {"api-key": self._key}
        if self._endpoint.is_azure:
            headers["Authorization"] = omit
        return {"timeout": timeout, "headers": headers}

    def _request(self, question: wire.Question) -> tuple[str, wire.Request]:
        if self._api == "responses":
            return "/responses", wire.responses_request(question)
        return "/chat/completions", wire.chat_request(question, tokens_field=self._tokens_field)

    def _read(self, answer: httpx2.Response) -> wire.Reply:
        if (warning := announced(self._model, answer.headers)) and warning != self._warning:
            self._warning = warning
            log.warning("%s", warning)

        if (wait := exhausted(answer.headers)) is not None:
            self._gate.hold(wait)

        try:
            return wire.read_reply(self._api, answer.content, self._who)
        except DescribeError as error:
            if error.reason.retryable and error.retry_after is None:
                error.retry_after = retry_after(answer.headers)
            raise
        except ValueError as error:
            raise self._no_protocol(answer) from error

    def _no_protocol(self, answer: httpx2.Response) -> DescribeError:
        """Return the error for an answer that is not of the protocol: a page, or half an answer."""
        what = f"{self._who.server} answers something else than its protocol: {said(answer.text, self._key)}"
        if "html" in answer.headers.get("content-type", ""):
            # A page that stands in the way for a while looks the same, so this is no final reason.
            return DescribeError(
                Reason.PROVIDER_UNAVAILABLE, f"{what}; {self._who.check_address()}"
            )
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, what)


def _key(setup: Setup, *, needed: bool) -> str | None:
    key = setup.variable("OPENAI_API_KEY")
    if needed and not key:
        message = "OPENAI_API_KEY is not set; put a key into the describer's Secret"
        raise DescribeError(Reason.CREDENTIALS_MISSING, message)
    if key and not (key.isascii() and key.isprintable()):
        message = "OPENAI_API_KEY has characters that no key has; copy it anew into the describer's Secret"
        raise DescribeError(Reason.CREDENTIALS_REFUSED, message)

    return key


def _client(endpoint: Endpoint, key: str | None) -> AsyncOpenAI:
    """Return a client that repeats nothing, and follows nobody elsewhere with the picture."""
    return AsyncOpenAI(
        api_key=key or "none",  # the SDK wants some key even where the server wants none
        base_url=endpoint.base_url,
        default_query=endpoint.query,
        max_retries=0,
        http_client=BoundedClient(_MAX_ANSWER_BYTES),
    )
