"""Describes by a container of your own that answers `POST /describe`: see docs/custom-describers.md."""

import json
from typing import Any

import httpx2
from pydantic import Field, JsonValue
from vision_node_contract.models.description import Description, Options, Usage
from vision_node_contract.models.reasons import DescribeError, Reason

from ...interface import Setup
from ...remote.answers.find_object import can_be_stored, json_object
from ...remote.answers.normalize import NotWholeError, read_object, shaped
from ...remote.base import Asking, ProviderOptions, host_of
from ...remote.bounded_http import AnswerTooLargeError, BoundedClient
from ...remote.error_body import failure_in, reason_of
from ...remote.retry_after import retry_after
from ...remote.sanitize import said
from ...remote.upload import Bounds, Upload, prepare, upload_bytes

OPTIONS_HEADER = "Vision-Node-Options"

_MAX_ANSWER_BYTES = 1 << 20
"""A description has some kilobytes; what is longer would only fill the worker's memory."""

_CONNECT_SECONDS = 5.0

_ITS_REASONS = frozenset(
    {
        *(
            Reason.IMAGE_UNREADABLE,
            Reason.IMAGE_TOO_LARGE,
            Reason.CONTENT_REFUSED,
            Reason.EMPTY_ANSWER,
        ),
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
        # A proxy of the environment is for providers far away.
        self._client = BoundedClient(_MAX_ANSWER_BYTES, trust_env=False)

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

    async def _post(
        self, picture: bytes, headers: dict[str, str], seconds: float
    ) -> dict[str, Any]:
        timeout = httpx2.Timeout(seconds, connect=_CONNECT_SECONDS)
        try:
            response = await self._client.post(
                self._url, content=picture, headers=headers, timeout=timeout
            )
        except AnswerTooLargeError as error:
            raise DescribeError(Reason.DESCRIBER_FAILED, f"of the container, {error}") from error
        except httpx2.HTTPError as error:
            message = f"{self._url} does not answer ({type(error).__name__}); is the container up?"
            raise DescribeError(Reason.PROVIDER_UNAVAILABLE, message) from error

        if response.status_code != 200:
            raise _refusal(response)

        return _answer(response)


def _in_header(options: Options) -> str:
    """Return the wishes as JSON, in ASCII as headers want it."""
    return json.dumps(options.model_dump(by_alias=True, exclude_none=True, exclude={"fallback"}))


def _answer(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON object that a container answers with, or its plain text as the description.

    Raises:
        DescribeError: DescriberFailed: the answer is JSON that is broken, or no object;
        EmptyAnswer: it says
            nothing; or what an error in it stands for.
    """
    whole = json_object(response.content) or {}
    if not whole.keys() & {"description", "alt", "caption"} and (
        whole.get("reason") or whole.get("error")
    ):
        raise _refusal(response)

    try:
        return read_object(response.content.decode(errors="replace"), advice="let it write more")
    except NotWholeError as error:
        message = "the container answers JSON that is broken, or no object"
        raise DescribeError(Reason.DESCRIBER_FAILED, message) from error


def _refusal(response: httpx2.Response) -> DescribeError:
    """Return the error that a container answers with, whatever its status."""
    status, why = response.status_code, json_object(response.content) or {}
    failure = failure_in(why)
    reason = next(
        (known for known in _ITS_REASONS if known == why.get("reason")), _by_status(status)
    )
    if status == 200 and "reason" not in why:
        reason = reason_of(failure, None)

    words = why.get("message") or (
        failure.message if failure else response.content.decode(errors="replace")
    )
    message = f"the container answers HTTP {status}: {said(str(words))}"

    return DescribeError(reason, message, retry_after=retry_after(response.headers))


def _by_status(status: int) -> Reason:
    if status == 429:
        return Reason.RATE_LIMITED
    return Reason.REQUEST_REFUSED if 300 <= status < 500 else Reason.PROVIDER_UNAVAILABLE


def _description(answer: dict[str, Any], options: Options, model: str | None) -> Description:
    """Return what the container says, in the shape that all have."""
    description = shaped(
        answer, options, model=_string(answer.get("model")) or model, usage=_usage(answer)
    )
    facts = answer.get("facts")
    kept: dict[str, JsonValue] = facts if isinstance(facts, dict) else {}
    if not can_be_stored(kept):
        message = "the container answers facts that are no JSON, such as an infinite number"
        raise DescribeError(Reason.DESCRIBER_FAILED, message)

    return description.model_copy(update={"facts": kept})


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _usage(answer: dict[str, Any]) -> Usage | None:
    try:
        return Usage.model_validate(answer.get("usage"))
    except ValueError:
        return None
