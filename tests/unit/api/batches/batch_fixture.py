"""An ImageBatch whose results are in a fake bucket, and helpers that read responses."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from vision_node_contract.batch_objects import CHUNK_LINES, BatchFolder, IndexEntry
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.ranges import Range

FOLDERS = BucketFolders("aaaabbbbcccc")
NAME, UID = "holiday", "0b1c"
MANIFEST = BatchFolder(FOLDERS, UID).manifest(1)


class Store(Protocol):
    """A bucket in which a test can put objects directly."""

    def put(self, key: str, data: bytes = b"x") -> None: ...


class Observer(Protocol):
    """A cache that learns from watch events."""

    def observe(self, event: WatchEvent) -> None: ...


@dataclass
class Batch:
    """An ImageBatch, of which a test counts one shard after the other."""

    store: Store
    total: int = 10
    phase: str = "processing"
    parts: int = 0
    spec: dict[str, Any] = field(default_factory=lambda: {"prefix": "inbox/holiday/"})
    status: dict[str, Any] = field(default_factory=dict)
    folder: BatchFolder = field(default_factory=lambda: BatchFolder(FOLDERS, UID))

    def freeze(self) -> None:
        """Store the manifest."""
        for first in range(0, self.total, CHUNK_LINES):
            lines = map(manifest_line, range(first, min(first + CHUNK_LINES, self.total)))
            self.store.put(f"{MANIFEST}{first:09}", b"".join(lines))

    def shard(self, first: int, last: int, padding: int = 0, **changes: Any) -> IndexEntry:
        """Store the results of a shard, and return its entry."""
        data = b"".join(result_line(it, padding) for it in range(first, last + 1))
        key = self.folder.results(first, f"shard-{first}", 1)
        self.store.put(key, data)
        known = {
            "shard": f"holiday-0b1c-{first}",
            "ranges": str(Range(first, last)),
            "done": last + 1 - first,
            "key": key,
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
        }
        return IndexEntry.model_validate({**known, **changes})

    def count(self, *entries: IndexEntry) -> None:
        """Store an index object and count it."""
        lines = b"".join(json.dumps(it.to_json()).encode() + b"\n" for it in entries)
        self.store.put(self.folder.index(self.parts), lines)
        self.parts += 1

    def body(self, **metadata: Any) -> dict[str, Any]:
        """Return the ImageBatch as JSON."""
        manifest = {"folder": MANIFEST, "images": self.total, "sha256": "0" * 64}
        status = {"phase": self.phase, "manifest": manifest, "results": {"index": self.parts}}
        return {
            "metadata": {"name": NAME, "uid": UID, "resourceVersion": "1", **metadata},
            "spec": self.spec,
            "status": {**status, **self.status},
        }

    def report(self, cache: Observer) -> None:
        """Let the watch report the ImageBatch."""
        cache.observe(WatchEvent("MODIFIED", [self.body()]))

    @property
    def model(self) -> ImageBatch:
        """The ImageBatch."""
        return ImageBatch.model_validate(self.body())


def custom_id(index: int) -> str:
    return f"photo-{index}.jpg"


def manifest_line(index: int) -> bytes:
    line = {"index": index, "customId": custom_id(index), "key": f"inbox/aaaabbbbcccc/{index}"}
    return json.dumps(line).encode() + b"\n"


def result_line(index: int, padding: int = 0) -> bytes:
    line = json.loads(manifest_line(index))
    line["result"] = {"description": "d" * padding, "_generated_by": "vision-node-gpt"}
    return json.dumps(line).encode() + b"\n"


def lines_of(text: bytes) -> list[dict[str, Any]]:
    """Return the lines of a response, without empty ones."""
    return [json.loads(line) for line in text.splitlines() if line]


def outcomes(text: bytes) -> list[str]:
    """Return each line as its index, or as its range or part, with the reason of its error."""
    return [_outcome(line) for line in lines_of(text)]


def _outcome(line: dict[str, Any]) -> str:
    subject = line.get("index", line.get("ranges", line.get("part")))
    if "error" not in line:
        assert line["result"]["_generated_by"] == "vision-node-gpt"
        return str(subject)

    return f"{subject} {line['error']['reason']}"
