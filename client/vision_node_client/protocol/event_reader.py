"""Read a stream of events (https://html.spec.whatwg.org/#server-sent-events)."""

import json
from collections.abc import Iterator

from ..errors import ProtocolError
from ..models import Event, Json
from .readers import batch_state, job_state

MAX_BYTES = 16 << 20
"""Maximum size of an event in bytes. The largest state of a batch has some kilobytes."""


class EventReader:
    """Collects the lines of a stream until an event is complete.

    Args:
        last_event_id: Id of the last event of the stream before; None if there was none.
    """

    def __init__(self, last_event_id: str | None = None) -> None:
        self.last_event_id = last_event_id
        """Id with which a further stream continues behind the last complete event."""
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that are complete after another piece of the stream.

        Raises:
            ProtocolError: An event can't be understood.
        """
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        if len(self._rest) > MAX_BYTES:
            raise ProtocolError("an event of the stream is too large")

        for block in blocks:
            event = self._read(block.decode(errors="replace"))
            if event is not None:
                yield event

    def _read(self, block: str) -> Event | None:
        """Return the event in a block; None for comments and events of later versions."""
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")

        # Only a complete block counts, because a client may resume from it.
        self.last_event_id = fields.get("id") or self.last_event_id
        kind = fields.get("event", "")
        if kind not in {"job", "batch", "deleted", "reset"} or "data" not in fields:
            return None

        try:
            return _event(kind, fields.get("id"), json.loads(fields["data"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProtocolError(f"an event can't be understood: {block[:200]!r}") from error


def _event(kind: str, event_id: str | None, document: Json) -> Event:
    match kind:
        case "job":
            return Event("job", event_id, job_state(document), None, document)
        case "batch":
            return Event("batch", event_id, None, batch_state(document), document)
        case "deleted":
            return Event("deleted", event_id, None, None, document)
        case _:
            return Event("reset", event_id, None, None, document)
