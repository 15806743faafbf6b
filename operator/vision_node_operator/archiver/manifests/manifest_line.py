"""Read one line of a list of images. It is untrusted: any user of the inbox may have written it."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from vision_node_contract.batch_objects import MAX_CUSTOM_ID_CHARACTERS, LineError, ManifestLine
from vision_node_contract.bucket_keys import INBOX_PREFIX, BucketFolders
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import Reason

MAX_KEY_BYTES = 1024
"""Maximum length of an object's key in bytes (Amazon S3 User Guide, "Naming Amazon S3 objects")."""

MAX_MESSAGE_CHARACTERS = 512
"""Maximum length of an error's message, the same as for a failed image in the CRD."""

_ETAG = re.compile(r'"?([!#-~]{1,128})"?')
"""Pattern of an ETag with or without its quotes. An ETag is sent in a header, so it may not contain
other characters."""

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""Pattern of texts without control characters, which break logs, headers and databases."""

_RESERVED = re.compile(r"line-[0-9]+/")
"""Pattern of customIds that invalid lines without one get. Others may not have them, because they
would be duplicates. Default customIds don't end with a slash, since keys of images don't."""


def _unreserved(custom_id: str) -> str:
    if _RESERVED.fullmatch(custom_id):
        raise ValueError("the form line-<number>/ is reserved for lines without a customId")

    return custom_id


CustomId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_CUSTOM_ID_CHARACTERS, pattern=_PRINTABLE),
    AfterValidator(_unreserved),
]
"""A valid customId."""


class LineOptions(Options):
    """Options with the limits and types of the CRD."""

    model_config = ConfigDict(strict=True)

    prompt: str | None = Field(default=None, max_length=4000)
    language: str | None = Field(
        default=None, max_length=35, pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"
    )
    detail: Literal["low", "high", "auto"] | None = None
    max_length: int | None = Field(default=None, alias="maxLength", ge=1, le=20_000)


class _Line(BaseModel):
    """A line as users write it. Unknown fields are ignored, as in Kubernetes."""

    model_config = ConfigDict(strict=True)

    key: str = Field(pattern=_PRINTABLE)
    custom_id: CustomId | None = Field(default=None, alias="customId")
    etag: str | None = None
    options: LineOptions | None = None


class _CustomIdOnly(BaseModel):
    """The part of an invalid line that may still be usable."""

    model_config = ConfigDict(strict=True)

    custom_id: CustomId = Field(alias="customId")


class InvalidLineError(ValueError):
    """A line is invalid. The error's text says why."""


class OutsideError(Exception):
    """A line names an image outside of the folder to which its list is restricted."""

    def __init__(self, custom_id: str | None, folder: str) -> None:
        super().__init__(f"key names no image in {folder}, the folder of the list of images")
        self.custom_id = custom_id


def read_line(
    text: bytes, number: int, index: int, folders: BucketFolders, only: str | None = None
) -> ManifestLine:
    """Return the image that a line names or, if the line is invalid, a line with an error.

    Args:
        text: The line without its end.
        number: The line's number in the list, starting at 1, for messages.
        index: The image's index in the ImageBatch.
        folders: The release's folders. A key may lack the release's id.
        only: The folder with the images that may be named; None if those of the whole inbox may
            be. A key such as inbox/<name> then means an image in this folder.
    """
    try:
        found = _Line.model_validate_json(text)
        key = _allowed_key(found, folders, only)
        etag = _quoted(found.etag) if found.etag is not None else None
        custom_id = found.custom_id or _default_custom_id(key, only or folders.inbox)
    except ValidationError as error:
        return invalid_line(text, number, index, explain(error))
    except InvalidLineError as error:
        return invalid_line(text, number, index, str(error))
    except OutsideError as error:
        # It is the same whether there is such an image or not.
        message = f"line {number} of the list of images: {error}"
        custom_id = error.custom_id or _custom_id(b"", number)
        return error_line(index, custom_id, Reason.IMAGE_NOT_FOUND, message)

    return ManifestLine(
        index=index, custom_id=custom_id, key=key, etag=etag, options=known_options(found.options)
    )


def known_options(options: LineOptions | None) -> LineOptions | None:
    """Return the options of a line; None if none that this release knows is set."""
    return options if options and options.model_fields_set else None


def too_long_line(number: int, index: int, max_bytes: int) -> ManifestLine:
    """Return the line with an error for a line that is too long to be read."""
    return invalid_line(b"", number, index, f"it has more than {max_bytes} bytes")


def duplicate_of(line: ManifestLine, number: int) -> ManifestLine:
    """Return the line with an error for a line whose customId an earlier line has."""
    return error_line(
        line.index,
        line.custom_id,
        Reason.DUPLICATE_CUSTOM_ID,
        f"line {number}: an earlier line has the same customId; give each image its own",
    )


def _allowed_key(line: _Line, folders: BucketFolders, only: str | None) -> str:
    """Return the complete key of an image.

    Raises:
        InvalidLineError: The key is invalid.
        OutsideError: It is not in the folder `only`.
    """
    complete = _complete_key(line.key, folders)
    if only is None:
        return complete

    within = folders.key_within(line.key, only)
    if within is None:
        raise OutsideError(line.custom_id, only)

    return _complete_key(within, folders)


def _complete_key(key: str, folders: BucketFolders) -> str:
    name = key.removeprefix(folders.inbox).removeprefix(INBOX_PREFIX)
    if not key.startswith(INBOX_PREFIX) or not name:
        raise InvalidLineError(f"key must name an object below {INBOX_PREFIX}")

    complete = folders.inbox_key(key)
    if len(complete.encode()) > MAX_KEY_BYTES:
        raise InvalidLineError(f"key has more than {MAX_KEY_BYTES} bytes")
    if key.endswith("/") or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise InvalidLineError("key must name an object, without '.', '..' or '//'")

    return complete


def _quoted(etag: str) -> str:
    found = _ETAG.fullmatch(etag)
    if not found:
        raise InvalidLineError('etag is not an ETag of the bucket, such as "d41d8cd98f00b204"')

    return f'"{found[1]}"'


def _default_custom_id(key: str, folder: str) -> str:
    name = key.removeprefix(folder)
    if len(name) > MAX_CUSTOM_ID_CHARACTERS:
        raise InvalidLineError(
            f"key has more than {MAX_CUSTOM_ID_CHARACTERS} characters, so customId must be set"
        )

    return name


def invalid_line(text: bytes, number: int, index: int, why: str) -> ManifestLine:
    """Return the line with an error for a line that is invalid; `why` says what is wrong."""
    message = f"line {number} of the list of images is invalid: {why}"
    return error_line(index, _custom_id(text, number), Reason.MANIFEST_LINE_INVALID, message)


def _custom_id(text: bytes, number: int) -> str:
    """Return the customId of an invalid line, or a name for the line if it has no valid one."""
    try:
        return _CustomIdOnly.model_validate_json(text).custom_id
    except ValidationError:
        return f"line-{number}/"


def error_line(index: int, custom_id: str, reason: str, message: str) -> ManifestLine:
    """Return the line of an image that can't be described."""
    error = LineError(reason=reason, message=message[:MAX_MESSAGE_CHARACTERS])
    return ManifestLine(index=index, custom_id=custom_id, error=error)


def explain(error: ValidationError) -> str:
    """Return what is wrong with a line, without its untrusted values."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
