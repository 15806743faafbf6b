"""Read streams in JSON Lines: results with marks that say where each part ends, and exports."""

import json
from collections.abc import Iterator

from ..errors import ProblemError, ProtocolError
from ..models import JobDetails, Json, Part, Result
from .readers import job_details, result
from .steps import TransportError

GONE = "BatchNotFound"
"""Reason of a stream that was broken off because the batch was deleted."""

UNREADABLE = "ResultUnreadable"
"""Reason of an image whose line can't be understood."""


class PartReader:
    """Collects the lines of a stream until a part is complete.

    Lines are bytes between line feeds. Text in JSON may contain other line separators of Unicode.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._results: list[Result] = []

    def feed(self, chunk: bytes) -> Iterator[Part]:
        """Yield the parts that are complete after another piece of the stream.

        Raises:
            ProblemError: The batch was deleted.
            TransportError: The server broke the stream off.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            # The server sends empty lines to keep the connection.
            if line.strip():
                yield from self._read(line)

    def end(self) -> None:
        """Check that the stream did not end within a part.

        Raises:
            TransportError: It did.
        """
        if self._rest.strip() or self._results:
            raise TransportError("the results ended within a part")

    def _read(self, line: bytes) -> Iterator[Part]:
        found = _document(line)
        if found.keys() == {"after"} and isinstance(found["after"], int):
            part = Part(found["after"], tuple(self._results))
            self._results = []
            yield part
        elif found.keys() >= {"error", "after"} and "index" not in found:
            raise _broken_off(found["error"])
        else:
            self._results.append(_result(found, line))


class JobReader:
    """Reads the lines of an export of jobs."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[JobDetails]:
        """Yield the jobs that are complete after another piece of the stream.

        Raises:
            ProtocolError: A line is no job.
            TransportError: The server broke the stream off.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            # The server sends empty lines to keep the connection.
            if line.strip():
                yield _job(line)

    def end(self) -> None:
        """Check that the stream did not end within a line.

        Raises:
            TransportError: It did.
        """
        if self._rest.strip():
            raise TransportError("the export ended within a line")


def _job(line: bytes) -> JobDetails:
    found = _document(line)
    if "error" in found and "job_id" not in found:
        raise _broken_off(found["error"])

    try:
        return job_details(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"a line of the export is no job: {line[:200]!r}") from error


def _document(line: bytes) -> Json:
    """Return a line as a JSON object; an empty one if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}

    return found if isinstance(found, dict) else {}


def _result(found: Json, line: bytes) -> Result:
    """Return the result in a line. If it can't be understood, the image has an error.

    The server sends what workers have stored. One bad line must not hide all others.
    """
    if "result" in found or "error" in found:
        try:
            return result(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass

    message = f"A line of the results can't be understood: {line[:200]!r}"
    return result({"error": {"reason": UNREADABLE, "message": message}})


def _broken_off(error: object) -> Exception:
    """Return the error in the last line of a stream that the server broke off."""
    found = error if isinstance(error, dict) else {}
    reason, message = str(found.get("reason")), str(found.get("message"))
    if reason == GONE:
        return ProblemError(404, reason, message)
    return TransportError(f"{reason}: {message}")
