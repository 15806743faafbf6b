"""The journal of a run: what has been done, for the next run if this one is interrupted."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ...folder import ImageFile
from ...models import Json
from ..exit_codes import UsageError
from .atomic import write_atomically

VERSION = 1
"""Version of the journal's format."""

SAVE_SECONDS = 1.0
"""Minimum seconds between two writes. What happened since the last one is found out again: from the
server, or from the length of the results."""

SAVE_SHARE = 0.05
"""Maximum share of the time that is spent on writing. The journal of a million images has 80 MB."""

Stage = Literal["sending", "starting", "following", "retrying", "finished"]
"""What is to be done: upload images, start the batch, follow its results, or create a batch of the
images that failed."""


@dataclass(slots=True)
class Journal:
    """The state of a run."""

    folder: str
    """Absolute path of the folder."""
    format: str
    """The format of the results."""
    options: Json
    """How the images are described."""
    stage: Stage = "sending"
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    """The Idempotency-Key of the batch that is created next, so that it is created only once."""
    batch: str | None = None
    """Name of the batch; None until it has been created."""
    uid: str | None = None
    """Its uid, because another batch may get its name; None in journals of older versions."""
    is_retry: bool = False
    """Whether it has only images that failed before."""
    after: int = 0
    """Number of parts of its results that have been written."""
    length: int = 0
    """Length of the written results in bytes. What follows was not complete."""
    done: int = 0
    failed: int = 0
    """Numbers of the written results."""
    sent: dict[str, list[int]] = field(default_factory=dict)
    """Size in bytes and time of the last change in nanoseconds of each image that the server has
    received, even if it has refused it."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Reason and message for each file that is not sent."""

    @property
    def ended(self) -> int:
        """Number of images that have a result or an error."""
        return self.done + self.failed

    def is_changed(self, image: ImageFile) -> bool:
        """Return whether an image has been changed since it was sent, as far as is known."""
        return self.sent.get(image.custom_id, _stamp(image)) != _stamp(image)

    def was_refused(self, image: ImageFile) -> bool:
        """Return whether the server has refused an image as it is now."""
        return image.custom_id in self.refused and image.custom_id in self.sent

    def record_sent(self, image: ImageFile) -> None:
        """Record that an image has been sent."""
        self.sent[image.custom_id] = _stamp(image)
        self.refused.pop(image.custom_id, None)

    def record_refused(self, image: ImageFile, reason: str, message: str) -> None:
        """Record that the server has refused an image."""
        self.sent[image.custom_id] = _stamp(image)
        self.refused[image.custom_id] = [reason, message]

    def begin_again(self) -> None:
        """Forget a batch that no longer exists before it was started."""
        fresh = Journal(self.folder, self.format, self.options)
        self.stage, self.key = fresh.stage, fresh.key
        self.batch = self.uid = None
        self.sent, self.refused = {}, {}


class JournalFile:
    """Reads and writes a journal.

    Args:
        path: Where it is.
        clock: Returns monotonic time in seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._due = 0.0

    def load(self) -> Journal | None:
        """Return the journal of a former run; None if there is none.

        Raises:
            UsageError: The file is no journal of this version.
        """
        try:
            found = json.loads(self.path.read_bytes())
            if found.pop("version") != VERSION:
                raise UsageError(f"{self.path} was written by another version of vision-node")
            return _checked(Journal(**found))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"{self.path} is not a journal of vision-node") from error

    def save(self, journal: Journal) -> None:
        """Write the journal."""
        started = self._clock()
        text = json.dumps({"version": VERSION, **asdict(journal)}, separators=(",", ":"))
        write_atomically(self.path, [text.encode(), b"\n"])

        ended = self._clock()
        self._due = ended + max(SAVE_SECONDS, (ended - started) / SAVE_SHARE)

    @property
    def is_due(self) -> bool:
        """Whether the last write was long enough ago."""
        return self._clock() >= self._due


def _checked(journal: Journal) -> Journal:
    """Return a journal that was read, if all of its values are possible.

    Raises:
        ValueError: One is not.
    """
    numbers = (journal.after, journal.length, journal.done, journal.failed)
    is_valid = (
        journal.stage in get_args(Stage)
        and all(isinstance(it, int) and it >= 0 for it in numbers)
        and all(isinstance(it, str) for it in (journal.folder, journal.format, journal.key))
        and all(isinstance(it, str | None) for it in (journal.batch, journal.uid))
        and all(isinstance(it, dict) for it in (journal.options, journal.sent, journal.refused))
        and all(_is_pair(it, int) for it in journal.sent.values())
        and all(_is_pair(it, str) for it in journal.refused.values())
        and (journal.batch is not None or journal.stage in {"sending", "finished"})
    )
    if not is_valid:
        raise ValueError("a value in the journal is impossible")

    return journal


def _is_pair(value: object, kind: type) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(it, kind) for it in value)


def _stamp(image: ImageFile) -> list[int]:
    return [image.size, image.modified_ns]
