"""Describe pictures with a model at OpenAI or at any server that supports its protocol.

Such servers include vLLM, Ollama, LocalAI and Azure.
"""

import logging

import httpx2
from openai import APIError, AsyncOpenAI, Omit, RequestOptions, omit
from pydantic import Field
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from ...interface import Setup
from ...remote.answers.normalize import read_answer
from ...remote.base import ProviderDescriber, ProviderOptions
from ...remote.bounded_http import BoundedClient
from ...remote.retry_after import exhausted_limit_reset, retry_after
from ...remote.sanitize import quote_provider
from ...remote.upload import Bounds, Upload, prepare_upload
from .deprecation import announced_retirement, published_retirement
from .endpoint import Endpoint, endpoint_of
from .errors import RequestContext, error_for, unsupported_fields
from .prompt import user_instructions
from .reply import Reply, read_reply
from .request_body import Api, DescribeRequest, RequestBody, chat_body, responses_body

DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_BASE_URL = "https://api.openai.com/v1"

LOW_DETAIL = Bounds(max_longer=512)
HIGH_DETAIL = Bounds(max_longer=2048, max_shorter=768)
"""Size to which OpenAI itself scales down pictures
(platform.openai.com/docs/guides/images-vision, "Calculating costs"). A larger picture would only
take longer to send."""

_OPENAI_MAX_TOKENS = 16_384
"""Default token limit at OpenAI, which is the maximum for gpt-4o-mini. The limit includes the
reasoning of reasoning models."""

_OTHER_MAX_TOKENS = 4096
"""Default token limit at other servers. Their context is often limited to 8,192 tokens,
including the picture's."""

_CONNECT_SECONDS = 5.0

_MAX_ANSWER_BYTES = 4 << 20
"""Maximum size of an answer in bytes. A description is a few kilobytes long, but a model's
reasoning may take hundreds of kilobytes."""

log = logging.getLogger(__name__)

# httpx2 logs the address of each request. Our own log lines contain more information.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class OpenAIOptions(ProviderOptions):
    """Options of a Describer with provider openai."""

    api: Api | None = None
    """The protocol. The default is the Responses API at OpenAI, and chat completions elsewhere."""
    max_output_tokens: int | None = Field(default=None, ge=16, le=200_000)


class OpenAI(ProviderDescriber):
    """Sends each picture to one model at one server."""

    _bounds = HIGH_DETAIL

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = OpenAIOptions.from_setup(setup)
        endpoint = endpoint_of(setup.variable("OPENAI_BASE_URL") or DEFAULT_BASE_URL)
        is_openai = endpoint.is_openai
        default_tokens = _OPENAI_MAX_TOKENS if is_openai else _OTHER_MAX_TOKENS

        self._endpoint = endpoint
        self._key = _key(setup, required=is_openai)
        self._model = setup.model or setup.variable("OPENAI_VISION_MODEL") or DEFAULT_MODEL
        self._context = RequestContext(endpoint.host, self._model, self._key, endpoint.base_url)
        self._api: Api = options.api or ("responses" if is_openai else "chat")
        self._max_tokens = options.max_output_tokens or default_tokens
        self._tokens_field = "max_completion_tokens" if is_openai else "max_tokens"
        self._unsupported_fields: frozenset[str] = frozenset()
        self._warning = published_retirement(self._model) if is_openai else None
        self._client = _client(endpoint, self._key)

    def prepare(self, image: bytes, options: Options) -> Upload:
        """Return the picture to send."""
        return prepare_upload(image, LOW_DETAIL if options.detail == "low" else HIGH_DETAIL)

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture.

        Raises:
            DescribeError: One of the reasons in docs/describers/openai.md.
        """
        request = DescribeRequest(
            model=self._model,
            upload=prepared,
            instructions=user_instructions(options),
            detail=options.detail or "auto",
            max_tokens=self._max_tokens,
        )
        reply = await self._call_provider(lambda seconds: self._send(request, seconds))

        return read_answer(
            reply.text,
            options,
            model=reply.model or self._model,
            usage=reply.usage,
            finish_reason=reply.finish_reason,
        )

    def warnings(self) -> list[str]:
        """Return a warning if the model will be shut down."""
        return [self._warning] if self._warning else []

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(self, request: DescribeRequest, seconds: float) -> Reply:
        """Send a request and return the model's reply.

        If the server does not support an optional field, the request is sent again without it, and
        later requests omit the field too.
        """
        path, body = self._body(request)
        while True:
            supported = {
                name: value for name, value in body.items() if name not in self._unsupported_fields
            }
            try:
                response = await self._client.post(
                    path,
                    cast_to=httpx2.Response,
                    body=supported,
                    options=self._request_options(seconds),
                )
                return self._read(response)
            except APIError as error:
                rejected = unsupported_fields(error) & supported.keys()
                if not rejected:
                    raise error_for(error, self._context) from error
                self._unsupported_fields |= rejected

    def _request_options(self, seconds: float) -> RequestOptions:
        """Return a request's timeout and headers. Azure expects the key in a different header."""
        timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
        if not self._key or not self._endpoint.wants_api_key:
            return {"timeout": timeout}

        headers: dict[str, str | Omit] = {"api-key": self._key}
        if self._endpoint.is_azure:
            headers["Authorization"] = omit
        return {"timeout": timeout, "headers": headers}

    def _body(self, request: DescribeRequest) -> tuple[str, RequestBody]:
        """Return the path and the body of a request."""
        if self._api == "responses":
            return "/responses", responses_body(request)
        return "/chat/completions", chat_body(request, tokens_field=self._tokens_field)

    def _read(self, response: httpx2.Response) -> Reply:
        self._note_headers(response)
        try:
            return read_reply(self._api, response.content, self._context)
        except DescribeError as error:
            if error.reason.retryable and error.retry_after is None:
                error.retry_after = retry_after(response.headers)
            raise
        except ValueError as error:
            raise self._protocol_error(response) from error

    def _note_headers(self, response: httpx2.Response) -> None:
        """Log an announced shutdown of the model; block requests if a rate limit is exhausted."""
        warning = announced_retirement(self._model, response.headers)
        if warning and warning != self._warning:
            self._warning = warning
            log.warning("%s", warning)

        if (wait := exhausted_limit_reset(response.headers)) is not None:
            self._rate_limit.block(wait)

    def _protocol_error(self, response: httpx2.Response) -> DescribeError:
        """Return the error for a response that does not follow the protocol, such as a web page.

        The page may come from a wrong address, or from a login portal that blocks requests only for
        a while. These cases look the same, so the returned error is one that is retried.
        """
        words = quote_provider(response.text, self._key)
        message = f"{self._context.server} sent a response that violates its protocol: {words}"
        if "html" in response.headers.get("content-type", ""):
            message = f"{message}; {self._context.address_advice()}"
        return DescribeError(Reason.PROVIDER_UNAVAILABLE, message)


def _key(setup: Setup, *, required: bool) -> str | None:
    key = setup.variable("OPENAI_API_KEY")
    if required and not key:
        message = "OPENAI_API_KEY is not set; add it to the describer's Secret"
        raise DescribeError(Reason.CREDENTIALS_MISSING, message)

    if key and not (key.isascii() and key.isprintable()):
        message = (
            "OPENAI_API_KEY contains characters that a key cannot have; copy it into the"
            " describer's Secret again"
        )
        raise DescribeError(Reason.CREDENTIALS_REFUSED, message)

    return key


def _client(endpoint: Endpoint, key: str | None) -> AsyncOpenAI:
    """Return a client that neither retries requests nor follows redirects."""
    return AsyncOpenAI(
        api_key=key or "none",  # the SDK requires a key even if the server does not
        base_url=endpoint.base_url,
        default_query=endpoint.query,
        max_retries=0,
        http_client=BoundedClient(_MAX_ANSWER_BYTES),
    )
