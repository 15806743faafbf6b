"""Read a stream of results: JSON Lines with marks that say where each part ends."""

import json
from collections.abc import Iterator

from ..errors import ProblemError, ProtocolError
from ..models import Json, Part, Result
from .readers import result
from .steps import TransportError

GONE = "BatchNotFound"
"""Reason of a stream that was broken off because the batch was deleted."""


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
            ProtocolError: A line can't be understood.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            # The server sends empty lines to keep the connection.
            if line.strip():
                yield from self._read(_document(line))

    def end(self) -> None:
        """Check that the stream did not end within a part.

        Raises:
            TransportError: It did.
        """
        if self._rest.strip() or self._results:
            raise TransportError("the results ended within a part")

    def _read(self, found: Json) -> Iterator[Part]:
        if found.keys() == {"after"}:
            part = Part(int(found["after"]), tuple(self._results))
            self._results = []
            yield part
        elif found.keys() & {"index", "ranges", "part", "customId"}:
            self._results.append(_result(found))
        else:
            raise _broken_off(found)


def _document(line: bytes) -> Json:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ProtocolError(f"a line of the results is no JSON: {line[:100]!r}") from error

    if not isinstance(found, dict):
        raise ProtocolError(f"a line of the results is no JSON object: {line[:100]!r}")
    return found


def _result(found: Json) -> Result:
    try:
        return result(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"a line of the results can't be understood: {found}") from error


def _broken_off(found: Json) -> Exception:
    """Return the error in the last line of a stream that the server broke off."""
    error = found.get("error")
    if not isinstance(error, dict):
        return ProtocolError(f"a line of the results can't be understood: {found}")

    reason, message = str(error.get("reason")), str(error.get("message"))
    if reason == GONE:
        return ProblemError(404, reason, message)
    return TransportError(f"{reason}: {message}")
