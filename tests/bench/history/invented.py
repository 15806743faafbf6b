"""Invent a history: finished ImageJobs, and results of ImageBatches, of the usual size.

Each row follows from its number, so pieces of the history can be made in any order.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.batch_objects import ResultLine
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.history.records import ImageRow, JobRow
from vision_node_contract.history.schema import CHUNK_ROWS
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import OWNER_LABEL, REUSE_LABEL, SIGNATURE

from bench.history import vocabulary

PIECE_ROWS = CHUNK_ROWS // 2
"""Number of rows in a piece. Each is either of single images or of one batch."""

BATCH_EVERY = 4
"""Each fourth piece is a batch."""

SHARD_ROWS = 512
"""Number of images of a batch that are archived at the same time."""

OWNERS = [f"user-{number}" for number in range(50)]
PLANTED_ROWS = 5
"""Number of rows with the planted word."""

SPAN = timedelta(days=20)
"""Usual age of the oldest row. It is less than retention.historySeconds, because the archiver would
delete older rows."""

TEXT_SHARE = 0.3
"""Share of images that show text."""

FOLDERS = BucketFolders("a" * 12)


@dataclass(frozen=True, slots=True)
class Invented:
    """A history of `rows` rows, of which the newest is from `newest`."""

    rows: int
    newest: datetime
    span: timedelta = SPAN
    """Age of the oldest row."""
    seed: str = "history"
    """Histories with different seeds have no row in common."""

    @property
    def pieces(self) -> int:
        """Number of pieces, of which the last may be shorter."""
        return -(-self.rows // PIECE_ROWS)

    def numbers(self, piece: int) -> range:
        """Return the numbers of a piece's rows."""
        return range(piece * PIECE_ROWS, min(self.rows, (piece + 1) * PIECE_ROWS))

    def at(self, number: int) -> datetime:
        """Return the time of a row. Those that a shard's images share don't cross chunks."""
        if is_batch(number // PIECE_ROWS):
            number -= number % SHARD_ROWS
        return self.newest - (self.rows - 1 - number) / self.rows * self.span

    def has_planted(self, number: int) -> bool:
        """Return whether a row has the planted word."""
        distance = max(1, self.rows // PLANTED_ROWS)
        return number % distance == distance // 2

    def jobs(self, piece: int) -> Iterator[Json]:
        """Yield the ImageJobs of a piece as JSON, as a watch sends them."""
        chance = self._chance(piece)
        for number in self.numbers(piece):
            result = _result(chance, planted=self.has_planted(number))
            yield _imagejob(chance, self.at(number), result)

    def batch(self, piece: int) -> tuple[ImageBatch, Json]:
        """Return the ImageBatch of a piece, also as JSON."""
        chance = self._chance(f"batch {piece}")
        body = _imagebatch(chance, self.at(self.numbers(piece)[0]))
        return ImageBatch.model_validate(body), body

    def lines(self, piece: int) -> Iterator[ResultLine]:
        """Yield the results of a piece's ImageBatch."""
        chance = self._chance(piece)
        for index, number in enumerate(self.numbers(piece)):
            result = _result(chance, planted=self.has_planted(number))
            name = f"inbox/{FOLDERS.release_id}/album-{piece}/{index:06d}.jpg"
            yield ResultLine(index=index, custom_id=name, key=name, result=result)

    def _chance(self, part: object) -> random.Random:
        return random.Random(f"{self.seed} {part}")  # noqa: S311 (not a secret)


def is_batch(piece: int) -> bool:
    """Return whether a piece is a batch."""
    return piece % BATCH_EVERY == BATCH_EVERY - 1


def chunk_of(number: int) -> int:
    """Return the chunk of a row."""
    return number // CHUNK_ROWS


def rows_of(body: Json, now: datetime) -> tuple[ImageRow, JobRow]:
    """Return the rows of an ImageJob with an inline result, as the archiver makes them."""
    job = ImageJob.model_validate(body)
    result = body["status"]["result"]["inline"]
    return ImageRow.of_job(job, body, result, now), JobRow.of(job, FOLDERS, now, in_row=True)


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _owner(chance: random.Random) -> str:
    return OWNERS[min(int(chance.expovariate(0.1)), len(OWNERS) - 1)]


def _imagejob(chance: random.Random, at: datetime, result: Json) -> Json:
    uid, key, time = _uuid(chance), f"{chance.getrandbits(128):032x}", at.isoformat()

    return {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "ImageJob",
        "metadata": {
            "name": f"job-{key}",
            "namespace": "vision-node",
            "uid": uid,
            "resourceVersion": "1000",
            "generation": 1,
            "creationTimestamp": time,
            "labels": {
                OWNER_LABEL: _owner(chance),
                REUSE_LABEL: f"{chance.getrandbits(128):032x}",
            },
        },
        "spec": {
            "image": {
                "key": f"{FOLDERS.images}{key}",
                "sha256": f"{chance.getrandbits(256):064x}",
                "mediaType": "image/jpeg",
                "sizeBytes": chance.randrange(100_000, 900_000),
                "width": 1920,
                "height": 1080,
                "fileName": f"DSC_{chance.randrange(10_000):04d}.JPG",
            },
            "describer": "local",
            "priority": 0,
            "cancel": False,
        },
        "status": {
            "phase": "done",
            "attempts": 1,
            "worker": "vision-node-local-0-abcde",
            "startTime": time,
            "completionTime": time,
            "duration": "0.20s",
            "conditions": [
                _condition("Assigned", "WorkerAssigned", "assigned to a worker", time),
                _condition("Complete", "Described", "the image has been described", time),
            ],
            "result": {"describer": "local", "summary": result["caption"], "inline": result},
        },
    }


def _imagebatch(chance: random.Random, at: datetime) -> Json:
    uid, time = _uuid(chance), at.isoformat()
    return {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "ImageBatch",
        "metadata": {
            "name": f"batch-{uid}",
            "namespace": "vision-node",
            "uid": uid,
            "resourceVersion": "1000",
            "creationTimestamp": time,
            "labels": {OWNER_LABEL: _owner(chance)},
        },
        "spec": {"describer": "local", "images": {"prefix": "inbox/album/"}},
        "status": {"phase": "done", "startTime": time, "completionTime": time},
    }


def _condition(kind: str, reason: str, message: str, time: str) -> Json:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": time,
        "observedGeneration": 1,
    }


def _result(chance: random.Random, *, planted: bool) -> Json:
    caption = vocabulary.text(chance, 9)
    if planted:
        caption = f"{vocabulary.PLANTED} {caption}"
    shown = vocabulary.text(chance, 40) if chance.random() < TEXT_SHARE else ""

    return {
        "description": (
            f"Image Description:\n{caption} {vocabulary.text(chance, 12)}. The image has 1920 x "
            "1080 pixels and 16,777,216 colors. It was taken with a NIKON D750 on 2026-01-01 at "
            "12:00:00, with a focal length of 35 mm, an aperture of f/4 and ISO 200."
        ),
        "alt": f"{caption} {vocabulary.text(chance, 4)}",
        "caption": caption,
        "tags": vocabulary.text(chance, 8).split(),
        "text": shown,
        "language": "en",
        "facts": {
            "width": 1920,
            "height": 1080,
            "format": "JPEG",
            "colors": ["blue", "green", "gray"],
            "camera": {"make": "NIKON CORPORATION", "model": "NIKON D750", "iso": 200},
            "scores": [round(chance.random(), 4) for _ in range(8)],
        },
        "describer": "local",
        "seconds": round(chance.random(), 4),
        "_generated_by": SIGNATURE,
    }
