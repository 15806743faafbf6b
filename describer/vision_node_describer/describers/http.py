"""Describes by a container of your own that answers `POST /describe`: see docs/custom-describers.md."""

import json
from typing import Any

import httpx2
from pydantic import Field, JsonValue
from vision_node_contract.description import Description, Options, Usage
from vision_node_contract.reasons import DescribeError, Reason

from .interface import Setup
from .providers.answer import shaped
from .providers.asking import KEPT_SECONDS, Asking, ProviderOptions, host_of
from .providers.json_answer import fields_in, find_object, json_object, starts_as_json
from .providers.upload import Bounds, Upload, prepare, upload_bytes
from .providers.waits import retry_after
from .providers.wording import said

OPTIONS_HEADER = "Vision-Node-Options"

_MAX_ANSWER_BYTES = 1 << 20
"""A description has some kilobytes; what is longer would only fill the worker's memory."""

_CONNECT_SECONDS = 5.0

_ITS_REASONS = frozenset(
    {
        *(Reason.IMAGE_UNREADABLE, Reason.IMAGE_TOO_LARGE, Reason.CONTENT_REFUSED, Reason.EMPTY_ANSWER),
        *(Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_REFUSED, Reason.MODEL_NOT_FOUND),
        *(Reason.QUOTA_EXHAUSTED, Reason.RATE_LIMITED, Reason.PROVIDER_UNAVAILABLE),
        *(Reason.REQUEST_REFUSED, Reason.DESCRIBER_FAILED, Reason.OUT_OF_MEMORY),
    }
)
"""What a container may say of itself; the others are the system's to say."""


class HttpOptions(ProviderOptions):
    """`options` of a Describer with provider http."""

    url: str = "http://127.0.0.1:9000/describe"
    longest_side: int = Field(default=2048, ge=64, le=8192)
    """Pixels that the picture is scaled down to before it is sent."""


class Http(Asking):
    """Asks the container beside the worker."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = HttpOptions.of(setup)
        self._url = options.url
        host_of(options.url, "url")
        self._bounds = Bounds(longest=options.longest_side)
        self._model = setup.model
        kept = httpx2.Limits(keepalive_expiry=KEPT_SECONDS)
        # A proxy of the environment is for providers far away.
        self._client = httpx2.AsyncClient(limits=kept, trust_env=False, follow_redirects=False)

    def memory(self, image: bytes) -> int:
        """Return what decoding and scaling take at most, in bytes."""
        return upload_bytes(image, self._bounds)

    def prepare(self, image: bytes, options: Options) -> Upload:  # noqa: ARG002
        """Return the picture that is sent."""
        return prepare(image, self._bounds)

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture.

        Raises:
            DescribeError: what the container says, or ProviderUnavailable.
        """
        headers = {"Content-Type": prepared.media_type, OPTIONS_HEADER: _in_header(options)}
        answer = await self._asked(lambda seconds: self._post(prepared.data, headers, seconds))
        return _description(answer, options, self._model)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, picture: bytes, headers: dict[str, str], seconds: float) -> dict[str, Any]:
        timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
        request = self._client.stream("POST", self._url, content=picture, headers=headers, timeout=timeout)
        try:
            async with request as response:
                body = await _read(response)
        except httpx2.TransportError as error:
            message = f"{self._url} does not answer ({type(error).__name__}); is the container up?"
            raise DescribeError(Reason.PROVIDER_UNAVAILABLE, message) from error
        if response.status_code != 200:
            raise _refusal(response, body)
        return _answer(body)


def _in_header(options: Options) -> str:
    """Return the wishes as JSON, in ASCII as headers want it."""
    return json.dumps(options.model_dump(by_alias=True, exclude_none=True, exclude={"fallback"}))


async def _read(response: httpx2.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _MAX_ANSWER_BYTES:
            message = f"the container's answer is longer than {_MAX_ANSWER_BYTES} bytes"
            raise DescribeError(Reason.DESCRIBER_FAILED, message)
    return body


def _answer(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a container answers with, or its plain text as the description.

    Raises:
        DescribeError: DescriberFailed: the answer is JSON that is broken, or no object.
    """
    text = body.decode(errors="replace")
    found = json_object(body)
    found = find_object(text) if found is None else fields_in(found) or found
    if found is None and starts_as_json(text):
        message = "the container answers JSON that is broken, or no object"
        raise DescribeError(Reason.DESCRIBER_FAILED, message)
    return {"description": text} if found is None else found


def _refusal(response: httpx2.Response, body: bytes) -> DescribeError:
    status, why = response.status_code, json_object(body) or {}
    by_status = Reason.PROVIDER_UNAVAILABLE if status >= 500 else Reason.REQUEST_REFUSED
    by_status = Reason.RATE_LIMITED if status == 429 else by_status
    reason = next((known for known in _ITS_REASONS if known == why.get("reason")), by_status)
    words = why.get("message") or body.decode(errors="replace")
    message = f"the container answers HTTP {status}: {said(str(words))}"
    return DescribeError(reason, message, retry_after=retry_after(response.headers))


def _description(answer: dict[str, Any], options: Options, model: str | None) -> Description:
    """Return what the container says, in the shape that all have."""
    description = shaped(answer, options, model=_string(answer.get("model")) or model, usage=_usage(answer))
    facts = answer.get("facts")
    kept: dict[str, JsonValue] = facts if isinstance(facts, dict) else {}
    return description.model_copy(update={"facts": kept})


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _usage(answer: dict[str, Any]) -> Usage | None:
    try:
        return Usage.model_validate(answer.get("usage"))
    except ValueError:
        return None
