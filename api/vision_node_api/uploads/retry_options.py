"""Read what a retry changes: the describer, the prompt and so on."""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import parse_qsl

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, from_json
from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from vision_node_contract.models.description import Options
from vision_node_contract.models.imagejob import ImageJobSpec
from vision_node_contract.models.reasons import Reason
from vision_node_contract.names import OWNER_LABEL

from ..web.problems import Problem
from ..web.unknown_names import unknown_name
from .disposition import decode_text
from .document import MAX_DOCUMENT_BYTES, read_document
from .form import FORM_TYPE, query_options
from .form_reader import FormReader
from .known_fields import IGNORED_FIELDS
from .submit_options import OPTION_NAMES, SubmitOptions, listed_names
from .upload_body import RequestBody, draining, require_identity
from .upload_limit import UploadSlot

URL_ENCODED_TYPE = b"application/x-www-form-urlencoded"
JSON_TYPE = b"application/json"


class RetryOptions(SubmitOptions):
    """The options of a retry. Those that are absent stay as they were; null is the default.

    Unknown fields are refused, because they may be misspelled.
    """

    @classmethod
    def check(cls, given: Mapping[str, object], max_ttl_seconds: int) -> Self:
        """Return the options with these values.

        Raises:
            Problem: 422 OptionsInvalid, also for an unknown name.
        """
        for name in given:
            if name not in OPTION_NAMES:
                detail = unknown_name("option", name, listed_names(cls))
                raise Problem(422, Reason.OPTIONS_INVALID, detail)

        return super().check(given, max_ttl_seconds)

    @field_validator("reuse")
    @classmethod
    def _refuse_reuse(cls, value: object) -> None:
        if value is not None:
            raise PydanticCustomError("no_reuse", "a retry always describes the image again")

    @field_validator("text", "max_length", "ttl_seconds", "priority", mode="before")
    @classmethod
    def _require_json_type(cls, value: object, info: ValidationInfo) -> object:
        """Keep JSON numbers and booleans apart, which pydantic converts. Forms have only texts."""
        if info.field_name == "text" and isinstance(value, int | float):
            if not isinstance(value, bool):
                raise PydanticCustomError("no_boolean", "Input should be true or false")
        elif isinstance(value, bool):
            raise PydanticCustomError("no_integer", "Input should be an integer")
        return value

    def labels_from(self, labels: dict[str, str]) -> dict[str, str]:
        """Return the labels of a job that repeats one with `labels`, whose owner stays."""
        if "labels" not in self.model_fields_set:
            return labels

        owner = {OWNER_LABEL: labels[OWNER_LABEL]} if OWNER_LABEL in labels else {}
        return {**(self.labels or {}), **owner}

    @property
    def changes_describer(self) -> bool:
        """Whether the retry names a describer, or wants the default one (null)."""
        return "describer" in self.model_fields_set

    def applied_to(self, spec: ImageJobSpec) -> ImageJobSpec:
        """Return the spec of a job that repeats one with `spec`, except for the describer."""
        options = spec.options.model_dump(exclude_none=True) if spec.options else {}
        options |= self.model_dump(include=set(Options.model_fields), exclude_unset=True)
        chosen = {name: value for name, value in options.items() if value is not None}

        update: dict[str, Any] = {
            "options": Options(**chosen) if chosen else None,
            "cancel": False,
            # The callback of the other job expects one message, and it has got it.
            "callback_url": self.callback_url,
        }
        if "ttl_seconds" in self.model_fields_set:
            update["ttl_seconds_after_finished"] = self.ttl_seconds
        if "priority" in self.model_fields_set:
            update["priority"] = self.priority or 0
        return spec.model_copy(update=update)


async def read_retry_options(
    request: Request, slot: UploadSlot, max_ttl_seconds: int
) -> RetryOptions:
    """Return the options in the query string and in the body: a JSON object, or a form.

    Raises:
        Problem: 400 BadRequest for a broken form; 413 DocumentTooLarge; 415 NotAForm,
            ContentEncodingUnsupported; 422 OptionsInvalid; or as for other bodies.
    """
    data = await _read(request, slot)
    given = {**query_options(request, OPTION_NAMES), **_fields(request, data)}
    return RetryOptions.check(_without_blanks(given), max_ttl_seconds)


async def read_json_object(request: Request, slot: UploadSlot) -> dict[str, Any]:
    """Return the JSON object in the body.

    Raises:
        Problem: 413 DocumentTooLarge; 415 ContentEncodingUnsupported; 422 OptionsInvalid; or as for
            other bodies.
    """
    return _json_object(await _read(request, slot))


async def _read(request: Request, slot: UploadSlot) -> bytes:
    require_identity(request)
    body = RequestBody(request.receive, slot)
    async with draining(request, body, slot):
        return await read_document(body, slot)


def _fields(request: Request, data: bytes) -> Mapping[str, Any]:
    """Return the fields in a body by name."""
    if not data:
        return {}

    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == JSON_TYPE:
        return _json_object(data)
    if kind == URL_ENCODED_TYPE:
        return _without_ignored(dict(parse_qsl(decode_text(data), keep_blank_values=True)))
    if kind == FORM_TYPE:
        return _without_ignored(_form_fields(data, options.get(b"boundary", b"")))

    detail = (
        "The body is neither JSON nor a form. Send what is to be changed as JSON (curl -H "
        "'Content-Type: application/json' -d '{\"describer\": \"openai\"}'), or no body."
    )
    raise Problem(415, "NotAForm", detail)


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        found = from_json(data)
    except ValueError as error:
        detail = f"The body is no JSON: {error}."
        raise Problem(422, Reason.OPTIONS_INVALID, detail) from error

    if not isinstance(found, dict):
        raise Problem(422, Reason.OPTIONS_INVALID, "The body is JSON, but no object ({…}).")
    return found


def _form_fields(data: bytes, boundary: bytes) -> dict[str, str]:
    reader = FormReader(boundary, MAX_DOCUMENT_BYTES)
    try:
        reader.write(data)
        reader.close()
        return {part.name: decode_text(part.content.data()) for part in reader.parts}
    finally:
        reader.discard()


def _without_ignored(fields: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in fields.items() if name not in IGNORED_FIELDS}


def _without_blanks(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without blank texts, which forms send for empty inputs."""
    return {name: it for name, it in given.items() if not (isinstance(it, str) and not it.strip())}
