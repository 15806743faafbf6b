"""Describe pictures with a user's container that responds to `POST /describe`.

See docs/custom-describers.md.
"""

import json
from typing import Any

import httpx2
from pydantic import Field, JsonValue
from vision_node_contract.models.description import Description, Options, Usage
from vision_node_contract.models.reasons import DescribeError, Reason

from ...interface import Setup
from ...remote.answers.normalize import normalize_answer
from ...remote.answers.read_object import BrokenJsonError, read_object
from ...remote.answers.strict_json import is_storable, parse_object
from ...remote.base import ProviderDescriber, ProviderOptions, host_of
from ...remote.bounded_http import BoundedClient, ResponseTooLargeError
from ...remote.error_body import parse_error_body
from ...remote.error_reason import classify_error
from ...remote.retry_after import retry_after
from ...remote.sanitize import quote_provider
from ...remote.upload import Bounds, Upload

OPTIONS_HEADER = "Vision-Node-Options"

_MAX_ANSWER_BYTES = 1 << 20
"""Maximum size of an answer in bytes. A description is a few kilobytes long, and a longer answer
would only fill the worker's memory."""

_CONNECT_SECONDS = 5.0

_CONTAINER_REASONS = frozenset(
    {
        Reason.IMAGE_UNREADABLE,
        Reason.IMAGE_TOO_LARGE,
        Reason.CONTENT_REFUSED,
        Reason.EMPTY_ANSWER,
        Reason.CREDENTIALS_MISSING,
        Reason.CREDENTIALS_REFUSED,
        Reason.MODEL_NOT_FOUND,
        Reason.QUOTA_EXHAUSTED,
        Reason.RATE_LIMITED,
        Reason.PROVIDER_UNAVAILABLE,
        Reason.REQUEST_REFUSED,
        Reason.DESCRIBER_FAILED,
        Reason.OUT_OF_MEMORY,
    }
)
"""Reasons that a container may report. Other reasons are reported only by the system itself."""


class HttpOptions(ProviderOptions):
    """Options of a Describer with provider http."""

    url: str = "http://127.0.0.1:9000/describe"
    longest_side: int = Field(default=2048, ge=64, le=8192)
    """Maximum length of the picture's longer side in pixels. A larger picture is scaled down before
    it is sent."""


class Http(ProviderDescriber):
    """Sends each picture to the container beside the worker."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = HttpOptions.from_setup(setup)
        host_of(options.url, "url")

        self._url = options.url
        self._bounds = Bounds(max_longer=options.longest_side)
        self._model = setup.model
        # Ignore the environment's proxy, which is meant for providers outside the cluster.
        self._client = BoundedClient(_MAX_ANSWER_BYTES, trust_env=False)

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture.

        Raises:
            DescribeError: The reason that the container reports, or ProviderUnavailable.
        """
        headers = {"Content-Type": prepared.media_type, OPTIONS_HEADER: _encode_options(options)}
        answer = await self._call_provider(
            lambda seconds: self._post(prepared.data, headers, seconds)
        )
        return _description(answer, options, self._model)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(
        self, picture: bytes, headers: dict[str, str], seconds: float
    ) -> dict[str, Any]:
        timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
        try:
            response = await self._client.post(
                self._url, content=picture, headers=headers, timeout=timeout
            )
        except ResponseTooLargeError as error:
            raise DescribeError(Reason.DESCRIBER_FAILED, f"the container: {error}") from error
        except httpx2.HTTPError as error:
            problem = type(error).__name__
            message = f"{self._url} does not answer ({problem}); is the container running?"
            raise DescribeError(Reason.PROVIDER_UNAVAILABLE, message) from error

        if response.status_code != 200:
            raise _container_error(response)

        return _answer(response)


def _encode_options(options: Options) -> str:
    """Return the user's options as JSON in ASCII, which a header can contain."""
    return json.dumps(options.model_dump(by_alias=True, exclude_none=True, exclude={"fallback"}))


def _answer(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON object in a container's answer; plain text becomes its description.

    Raises:
        DescribeError: DescriberFailed if the answer is invalid JSON or not an object; EmptyAnswer
            if it is empty; or the reason for an error that the answer contains.
    """
    whole = parse_object(response.content) or {}
    has_description = bool(whole.keys() & {"description", "alt", "caption"})
    if not has_description and (whole.get("reason") or whole.get("error")):
        raise _container_error(response)

    try:
        return read_object(
            response.content.decode(errors="replace"), advice="raise its token limit"
        )
    except BrokenJsonError as error:
        message = "the container answered with invalid JSON, or with JSON that is not an object"
        raise DescribeError(Reason.DESCRIBER_FAILED, message) from error


def _container_error(response: httpx2.Response) -> DescribeError:
    """Return the DescribeError for an error from a container, whatever the HTTP status."""
    status, answer = response.status_code, parse_object(response.content) or {}
    body = parse_error_body(answer)

    reason = next(
        (known for known in _CONTAINER_REASONS if known == answer.get("reason")),
        _by_status(status),
    )
    if status == 200 and "reason" not in answer:
        reason = classify_error(body, None)

    words = answer.get("message") or (
        body.message if body else response.content.decode(errors="replace")
    )
    message = f"the container answered with HTTP {status}: {quote_provider(str(words))}"

    return DescribeError(reason, message, retry_after=retry_after(response.headers))


def _by_status(status: int) -> Reason:
    if status == 429:
        return Reason.RATE_LIMITED
    return Reason.REQUEST_REFUSED if 300 <= status < 500 else Reason.PROVIDER_UNAVAILABLE


def _description(answer: dict[str, Any], options: Options, model: str | None) -> Description:
    """Return the container's answer as a Description, with its facts."""
    own_model = answer.get("model")
    description = normalize_answer(
        answer,
        options,
        model=own_model if isinstance(own_model, str) and own_model else model,
        usage=_usage(answer),
    )

    own_facts = answer.get("facts")
    facts: dict[str, JsonValue] = own_facts if isinstance(own_facts, dict) else {}
    if not is_storable(facts):
        message = (
            "the container answered with facts that are not valid JSON, such as an infinite number"
        )
        raise DescribeError(Reason.DESCRIBER_FAILED, message)

    return description.model_copy(update={"facts": facts})


def _usage(answer: dict[str, Any]) -> Usage | None:
    try:
        return Usage.model_validate(answer.get("usage"))
    except ValueError:
        return None
