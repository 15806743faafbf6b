"""A fake cluster with ImageBatches and shards, for tests of decide()."""

from typing import Any

from vision_node_contract.names import ABILITIES_ANNOTATION, OWNER_LABEL, PROGRESS_ANNOTATION
from world import World, at

OTHERS = ("launch", "retire")
"""Actions that concern workers, not batches."""


class BatchWorld(World):
    """A cluster with workers that know shards."""

    def __init__(self, *workers: int, **spec: Any) -> None:
        super().__init__()
        self.state.knows_all_shards = True
        self.describer(**spec)
        for slot in workers:
            self.worker(slot)
            self.progress(slot)

    def progress(self, slot: int, progress: str = "", when: float = -1) -> None:
        """Report a worker's Lease with the progress of its shard."""
        self.lease(slot, when, {ABILITIES_ANNOTATION: "x,shards", PROGRESS_ANNOTATION: progress})

    def batch(
        self,
        name: str = "b",
        *,
        images: int = 100,
        owner: str = "",
        status: Any = None,
        **spec: Any,
    ) -> None:
        """Report an ImageBatch in processing."""
        whole = {
            "phase": "processing",
            "manifest": {"folder": "batches/x/m1/", "images": images, "sha256": "0" * 64},
            "images": {"total": images, "done": 0, "failed": 0},
            **(status or {}),
        }
        meta = {
            "uid": f"uid-{name}",
            "creationTimestamp": at(-60),
            "labels": {OWNER_LABEL: owner} if owner else {},
        }
        spec = {"prefix": "inbox/", "describer": "metadata", **spec}
        self.observe("imagebatches", name, metadata=meta, spec=spec, status=whole)

    def shard(
        self,
        first: int,
        count: int = 8,
        *,
        batch: str = "b",
        alone: bool = False,
        spec: Any = None,
        seen: float = 0,
        **status: Any,
    ) -> None:
        """Report a shard, such as `b-0`, whose UID is `u0`."""
        images = {
            "batch": batch,
            "batchUID": f"uid-{batch}",
            "manifest": "batches/x/m1/",
            "first": first,
            "count": count,
            "alone": alone,
        }
        self.observe(
            "imagejobs",
            f"{batch}-{first}",
            seen,
            metadata={"uid": f"u{first}", "creationTimestamp": at(-20)},
            spec={"images": images, "describer": "metadata", **(spec or {})},
            status={"phase": "queued", **status},
        )

    def working(self, first: int, count: int = 8, worker: str = "w0", **parts: Any) -> None:
        """Report a shard that a worker has, with a deadline at 30 s after NOW."""
        attempt = {"attempts": 1, "attemptDeadline": at(30), "startTime": at(-2)}
        self.shard(first, count, **{"phase": "processing", "worker": worker, **attempt, **parts})

    def done(
        self, first: int, count: int = 8, *, seen: float = 0, took: float = 2, **outcome: Any
    ) -> None:
        """Report a shard whose worker has ended it, after it `took` some seconds."""
        self.working(first, count, seen=seen)
        images = {"done": count, "failed": 0, **outcome}
        if images["done"] + images["failed"]:
            images = {"key": "batches/x/r", **images}
        times = {"startTime": at(seen - took), "completionTime": at(seen)}
        self.shard(
            first, count, seen=seen, phase="done", worker="w0", attempts=1, images=images, **times
        )

    def decided(self, after: float = 0, **spec: Any) -> list[str]:
        """Return the decided actions that concern batches and images, as text."""
        found = self.decide(after, **spec)
        return [text for text in found if text.split()[0] not in OTHERS]
