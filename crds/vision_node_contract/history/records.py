"""The rows of the history, and how they are made from ImageJobs and from results of batches."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from ..batch_objects import ResultLine
from ..bucket_keys import BucketFolders
from ..json_types import Json
from ..models.description import FrozenModel
from ..models.imagebatch import ImageBatch
from ..models.imagejob import ImageJob, ObjectMeta
from ..names import OWNER_LABEL, REUSE_LABEL
from .lexemes import words_of
from .schema import SINGLE
from .usage import counted, tokens_in, tokens_of

MAX_ROW_RESULT_BYTES = 1 << 20
"""Maximum size of a result in a row, in bytes of JSON. Larger ones stay in the bucket."""

CONTENT_ERRORS = (TypeError, ValueError, LookupError, AttributeError, RecursionError)
"""Errors of ImageRow if a result is not as expected, for example nested too deeply. A describer may
return anything."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)
"""Encoder for rows. json.dumps() would create one for each row."""

MAX_EXCERPT_CHARACTERS = 256
"""Maximum length of each text in an excerpt. Texts of this length fill a line or two of a
list, and an excerpt then fits into its row."""

_PARTS = ("metadata", "spec", "status")
_METADATA = frozenset(it.alias or name for name, it in ObjectMeta.model_fields.items())


class Excerpt(FrozenModel):
    """What lists show of an image."""

    caption: str | None = None
    alt: str | None = None
    file_name: str | None = None
    completed_at: datetime | None = None
    """When the ImageJob was finished; None for an image of a batch."""
    error: str | None = None
    """The message of the error, if the image has no description."""

    @classmethod
    def of_job(cls, job: ImageJob, result: Json | None) -> Self:
        """Return the excerpt of an ImageJob. `result` is its result as JSON, if there is one."""
        error = job.status.error if job.status.phase == "failed" else None
        return cls(
            caption=_short((result or {}).get("caption")),
            alt=_short((result or {}).get("alt")),
            file_name=_short(job.spec.image.file_name),
            completed_at=job.status.completion_time,
            error=_short(error.message) if error else None,
        )

    @classmethod
    def of_line(cls, line: ResultLine) -> Self:
        """Return the excerpt of an image of a batch."""
        return cls(
            caption=_short((line.result or {}).get("caption")),
            alt=_short((line.result or {}).get("alt")),
            error=_short(line.error.message) if line.error else None,
        )

    def to_text(self) -> str:
        """Return the excerpt as JSON in ASCII."""
        return self.model_dump_json(exclude_none=True, ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A row of the table images, except for the chunk's number in its words."""

    uid: str
    image_index: int
    at: datetime
    name: str
    custom_id: str | None
    owner: str
    describer: str
    phase: str
    reason: str | None
    body: str
    """JSON in ASCII, because PostgreSQL's text can't contain the character U+0000."""
    excerpt: str
    """An Excerpt as JSON in ASCII."""
    result: str | None
    """JSON in ASCII; None if there is none, or if it stays in the bucket."""
    words: tuple[str, ...]
    archive_error: str | None = None
    reuse_key: str = ""
    """Value of the label vision-node.dev/reuse-key; empty if the result can't be reused."""
    size_bytes: int = 0
    """Size of the image in bytes; 0 if it is unknown. This and the tokens are counted in the table
    usage, and are no columns."""
    input_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def of_job(cls, job: ImageJob, body: Json, result: Json | None, now: datetime) -> Self:
        """Return the row of a finished ImageJob.

        Args:
            job: The ImageJob.
            body: The same ImageJob as JSON.
            result: Its complete result as JSON; None if it has none, or if its result stays in the
                bucket.
            now: The current time, which is used if the creation time is missing.
        """
        meta, status = job.metadata, job.status
        names = [meta.name, job.spec.image.file_name or ""]
        input_tokens, output_tokens = tokens_of(status.result.usage if status.result else None)

        return cls(
            uid=meta.uid,
            image_index=SINGLE,
            at=meta.creation_timestamp or now,
            name=meta.name,
            custom_id=None,
            owner=meta.labels.get(OWNER_LABEL, ""),
            describer=job.spec.describer,
            phase=status.phase,
            reason=status.error.reason if status.error else None,
            body=_dumps(without_inline_result(body)),
            excerpt=Excerpt.of_job(job, result).to_text(),
            result=_dumps(result) if result is not None else None,
            words=tuple(words_of([*_texts(result or {}), *names])),
            reuse_key=_reuse_key(job) if result is not None else "",
            size_bytes=counted(job.spec.image.size_bytes),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    @classmethod
    def of_line(cls, batch: ImageBatch, line: ResultLine, at: datetime) -> Self:
        """Return the row of an image of a batch. `at` is the time of archiving."""
        meta, result = batch.metadata, line.result
        described = (result or {}).get("describer")
        input_tokens, output_tokens = tokens_in((result or {}).get("usage"))

        return cls(
            uid=meta.uid,
            image_index=line.index,
            at=at,
            name=meta.name,
            custom_id=line.custom_id,
            owner=meta.labels.get(OWNER_LABEL, ""),
            describer=described if isinstance(described, str) else batch.spec.describer,
            phase="failed" if line.error else "done",
            reason=line.error.reason if line.error else None,
            body=_dumps(line.model_copy(update={"result": None}).to_json()),
            excerpt=Excerpt.of_line(line).to_text(),
            result=_dumps(result) if result is not None else None,
            words=tuple(words_of([*_texts(result or {}), line.custom_id, meta.name])),
            size_bytes=counted(line.size),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    def refused(self, error: str) -> Self:
        """Return a row without the parts that PostgreSQL may refuse. `error` says what it said."""
        clean = error.encode("ascii", "replace").decode().replace("\0", " ")[:512]
        values = {name: getattr(self, name) for name in self.__slots__}
        lost = {"excerpt": "{}", "result": None, "words": (), "reuse_key": ""}
        return type(self)(**values | lost | {"archive_error": clean})


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row of the table jobs: the lifecycle of a single image."""

    uid: str
    name: str
    finished_at: datetime
    expires_at: datetime | None
    """When the data is to be deleted; None if the release's default time to live applies."""
    image_key: str | None
    result_key: str | None
    callback_url: str | None = None
    """Where to send a message about its end; None if nowhere."""

    @classmethod
    def of(cls, job: ImageJob, folders: BucketFolders, now: datetime, *, in_row: bool) -> Self:
        """Return the row of a finished ImageJob.

        Args:
            job: The ImageJob.
            folders: The release's folders in the bucket. Only own images are deleted with the job.
            now: The current time, the latest plausible completion time.
            in_row: Whether the result is in the row of the image, so that its object can go.
        """
        finished, stay = job.completed(now), job.spec.ttl(None)
        result_key = folders.own_result_key(job)
        images = [key for key in folders.own_keys(job) if key != result_key]

        return cls(
            uid=job.metadata.uid,
            name=job.metadata.name,
            finished_at=finished,
            expires_at=None if stay is None else finished + stay,
            image_key=images[0] if images else None,
            result_key=None if in_row else result_key,
            callback_url=job.spec.callback_url,
        )


def without_inline_result(body: Json) -> Json:
    """Return an ImageJob as JSON with only what the API reads, and without its inline result.

    Its metadata lacks what users may have added, such as annotations (up to 256 KiB).
    """
    parts: Json = {part: body[part] for part in _PARTS if body.get(part) is not None}
    parts["metadata"] = {key: it for key, it in body["metadata"].items() if key in _METADATA}
    status = parts.get("status") or {}
    if isinstance(status.get("result"), dict):
        result = {key: it for key, it in status["result"].items() if key != "inline"}
        parts["status"] = {**status, "result": result}

    return parts


def _reuse_key(job: ImageJob) -> str:
    """Return the key by which a job's result is found for a repeated image; empty if it is not.

    What a fallback has described is not reused: once the problem is over, the describer itself can
    describe the image.
    """
    result = job.status.result if job.status.phase == "done" else None
    return job.metadata.labels.get(REUSE_LABEL, "") if result and not result.fallback else ""


def _texts(result: Json) -> Iterator[str]:
    """Yield the texts of a result by which it is found.

    The description's further sentences are metadata that every image has, such as its size.
    """
    for name in ("caption", "alt", "text"):
        yield _text(result.get(name))
    tags = result.get("tags")
    yield from map(_text, tags if isinstance(tags, list) else [])
    yield first_sentence(_text(result.get("description")))


def first_sentence(description: str) -> str:
    """Return the first sentence of a description, without `Image Description:`."""
    text = description.strip().removeprefix("Image Description:").strip()
    end = min((at for mark in (". ", ".\n", "\n") if (at := text.find(mark)) >= 0), default=None)
    return text if end is None else text[: end + 1]


def _short(value: Any) -> str | None:
    """Return a text without its end if it is too long for a list; None if it is no text."""
    if not isinstance(value, str):
        return None

    short = value.encode(errors="replace").decode()
    return short if len(short) <= MAX_EXCERPT_CHARACTERS else short[:MAX_EXCERPT_CHARACTERS] + "…"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dumps(value: Json) -> str:
    return _ENCODER.encode(value)
