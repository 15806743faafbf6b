"""Collect the results of a shard, and determine its outcome."""

import json
import re
from collections.abc import Iterable
from typing import Any

from vision_node_contract.batch_objects import MAX_CUSTOM_ID_CHARACTERS, LineError, ManifestLine
from vision_node_contract.models.description import Result, Usage
from vision_node_contract.models.imagebatch import MAX_FAILURES
from vision_node_contract.models.imagejob import FailedImage, ShardOutcome, Stop
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.transitions import MAX_MESSAGE_CHARACTERS
from vision_node_contract.ranges import Range, RangeSet

from ..image_describer import Failure

MAX_RESULTS_BYTES = 8 << 20
"""Size of the results at which a shard starts no more images. They are in memory twice while they
are being stored, within the 104 MiB that a worker reserves for purposes other than describing."""

MAX_FAILURE_CHARACTERS = 512
"""Maximum length of a message in the list of failed images, as in the CRD."""

MAX_RETRY_AFTER_SECONDS = 3600.0
"""Maximum of retryAfterSeconds, as in the CRD."""

_REASON = re.compile("[A-Z][A-Za-z]{0,127}")
"""Pattern of a reason, as in the CRD."""


def result_line(line: ManifestLine, result: Result) -> bytes:
    """Return the line of an image that has been described.

    Raises:
        ValueError: The result can't be written as JSON.
    """
    return b'%s,"result":%s}' % (_head(line), result.model_dump_json(by_alias=True).encode())


def error_line(line: ManifestLine, error: LineError) -> bytes:
    """Return the line of an image that has failed."""
    return b'%s,"error":%s}' % (_head(line), _json(error.to_json()))


def line_error(failure: Failure) -> LineError:
    """Return the error of an image that has failed."""
    return LineError(reason=failure.reason, message=failure.message[:MAX_MESSAGE_CHARACTERS])


def valid_error(error: LineError) -> LineError:
    """Return an error from a manifest in a form that the API server accepts."""
    is_reason = _REASON.fullmatch(error.reason)
    reason = error.reason if is_reason else Reason.MANIFEST_LINE_INVALID
    return LineError(reason=reason, message=error.message[:MAX_MESSAGE_CHARACTERS])


def stop(failure: Failure) -> Stop:
    """Return why a shard ends before its last image."""
    after = failure.retry_after
    if after is not None:
        after = min(max(0.0, after), MAX_RETRY_AFTER_SECONDS)

    return Stop(
        reason=failure.reason,
        message=failure.message[:MAX_MESSAGE_CHARACTERS],
        retry_after_seconds=after,
    )


class ShardResults:
    """The outcomes of the images of a shard that have ended, in memory until they are stored."""

    def __init__(self, indexes: Range) -> None:
        self._indexes = indexes
        self._lines: dict[int, bytes] = {}
        self._failed = 0
        self._failures: list[FailedImage] = []
        self._input_tokens = self._output_tokens = 0
        self._has_usage = False
        self.size_bytes = 0
        """Length of the results in bytes."""

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, index: int) -> bool:
        return index in self._lines

    @property
    def done(self) -> int:
        """Number of images that have been described."""
        return len(self._lines) - self._failed

    @property
    def is_full(self) -> bool:
        """Whether other shards must describe the remaining images."""
        return self.size_bytes >= MAX_RESULTS_BYTES

    def add_result(self, index: int, text: bytes, usage: Usage | None) -> None:
        """Add the line of an image that has been described."""
        self._add(index, text)
        if usage:
            self._has_usage = True
            self._input_tokens += usage.input_tokens
            self._output_tokens += usage.output_tokens

    def add_error(self, line: ManifestLine, text: bytes, error: LineError) -> None:
        """Add the line of an image that has failed."""
        self._add(line.index, text)
        self._failed += 1
        if len(self._failures) < MAX_FAILURES:
            self._failures.append(
                FailedImage(
                    index=line.index,
                    custom_id=line.custom_id[:MAX_CUSTOM_ID_CHARACTERS],
                    reason=error.reason,
                    message=error.message[:MAX_FAILURE_CHARACTERS],
                )
            )

    def to_bytes(self) -> bytes:
        """Return all lines, in the order of the images."""
        return b"".join(b"%s\n" % self._lines[index] for index in sorted(self._lines))

    def outcome(self, suspects: Iterable[int], stopped: Stop | None) -> ShardOutcome:
        """Return the outcome, without the key of the results."""
        rest = RangeSet([self._indexes]) - RangeSet.of(self._lines)
        usage = Usage(input_tokens=self._input_tokens, output_tokens=self._output_tokens)

        return ShardOutcome(
            done=self.done,
            failed=self._failed,
            rest=str(rest) or None,
            suspects=",".join(map(str, sorted(suspects))) or None,
            usage=usage if self._has_usage else None,
            failures=self._failures,
            stopped=stopped,
        )

    def _add(self, index: int, text: bytes) -> None:
        if index in self._lines:
            raise ValueError(f"image {index} has already ended")
        self._lines[index] = text
        self.size_bytes += len(text) + 1


def _head(line: ManifestLine) -> bytes:
    """Return the start of an image's line, up to its outcome."""
    head: dict[str, Any] = {"index": line.index, "customId": line.custom_id}
    if line.key is not None:
        head["key"] = line.key
    if line.size is not None:
        head["size"] = line.size
    return _json(head)[:-1]


def _json(value: dict[str, Any]) -> bytes:
    # ASCII only: messages from libraries may contain lone surrogates, which UTF-8 can't encode.
    return json.dumps(value, separators=(",", ":")).encode()
