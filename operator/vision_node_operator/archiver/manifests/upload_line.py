"""Read one line of a list of uploaded images.

The API writes these lists, but it takes names and sizes from files that its users have uploaded.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from vision_node_contract.batch_objects import DIGITS, ManifestLine, ZipMember
from vision_node_contract.batch_uploads import ZIP_NAME

from .manifest_line import (
    CustomId,
    InvalidLineError,
    LineOptions,
    error_line,
    explain,
    invalid_line,
    known_options,
)

MAX_OBJECT_BYTES = 50 << 40
"""Upper bound of offsets and lengths in bytes. No S3 service stores larger objects."""

LOCAL_HEADER_BYTES = 30
"""Minimum length of the header before the data of a member of a zip file (APPNOTE.TXT, 4.3.7)."""


class _Zip(BaseModel):
    """How a member of a zip file is stored."""

    model_config = ConfigDict(strict=True)

    method: Literal[0, 8]
    compressed_size: int = Field(alias="compressedSize", ge=0, le=MAX_OBJECT_BYTES)
    crc32: int = Field(ge=0, lt=1 << 32)


class _Error(BaseModel):
    """Why the API has refused an image."""

    model_config = ConfigDict(strict=True)

    reason: str = Field(max_length=64, pattern="^[A-Z][A-Za-z0-9]*$")
    message: str


class _Line(BaseModel):
    """A line as the API writes it."""

    model_config = ConfigDict(strict=True)

    custom_id: CustomId = Field(alias="customId")
    object: str | None = Field(default=None, pattern=f"^(p[0-9]{{{DIGITS}}}|{ZIP_NAME})$")
    offset: int = Field(default=0, ge=0, le=MAX_OBJECT_BYTES)
    length: int = Field(default=0, ge=0, le=MAX_OBJECT_BYTES)
    size: int = Field(default=0, ge=0, le=MAX_OBJECT_BYTES)
    zip: _Zip | None = None
    options: LineOptions | None = None
    error: _Error | None = None


def read_upload_line(text: bytes, number: int, index: int, folder: str) -> ManifestLine:
    """Return the image that a line names or, if the line is invalid, a line with an error.

    Args:
        text: The line without its end.
        number: The line's number in all lists, starting at 1, for messages.
        index: The image's index in the ImageBatch.
        folder: The folder of the attempt, which has the objects.
    """
    try:
        found = _Line.model_validate_json(text)
        if found.error:
            reason, message = found.error.reason, found.error.message
            return error_line(index, found.custom_id, reason, message)

        key = folder + _checked_object(found)
    except ValidationError as error:
        return invalid_line(text, number, index, explain(error))
    except InvalidLineError as error:
        return invalid_line(text, number, index, str(error))

    return ManifestLine(
        index=index,
        custom_id=found.custom_id,
        key=key,
        offset=found.offset,
        length=found.length,
        size=found.size,
        zip=ZipMember(**dict(found.zip)) if found.zip else None,
        options=known_options(found.options),
    )


def _checked_object(line: _Line) -> str:
    """Return the name of the object, after checking that the line's numbers fit together."""
    if line.object is None:
        raise InvalidLineError("it has neither an object nor an error")
    if line.size == 0:
        raise InvalidLineError("the image has no bytes")

    if line.zip is None:
        is_valid = line.object != ZIP_NAME and line.length == line.size
    else:
        is_valid = line.object == ZIP_NAME and _is_valid_member(line, line.zip)
    if not is_valid:
        raise InvalidLineError("object, length, size and zip contradict each other")

    return line.object


def _is_valid_member(line: _Line, member: _Zip) -> bool:
    fits = line.length >= LOCAL_HEADER_BYTES + member.compressed_size
    return fits and (member.method != 0 or member.compressed_size == line.size)
