"""All transitions of an ImageBatch's status, as merge patches (RFC 7386).

Each function takes the current ImageBatch and the time of the change (UTC). Its patch must be sent
with the ImageBatch's resourceVersion, so that it fails if the ImageBatch has changed meanwhile.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from ..batch_objects import IndexEntry
from ..ranges import Range, RangeSet, format_ranges
from .description import Usage
from .imagebatch import (
    MAX_FAILURES,
    MAX_FAILURES_BYTES,
    BatchResults,
    FrozenManifest,
    ImageBatch,
    ImageBatchStatus,
    ImageCounts,
)
from .imagejob import Condition
from .reasons import BatchReason
from .transitions import new_condition, timestamp

StatusPatch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the operator adds to an ImageBatch's status in one write."""

    entries: Sequence[IndexEntry] = ()
    """What finished shards contribute. They are listed in the index object with the number
    `batch.index`, which must be stored before the status is written. If there are none, there is no
    new index object."""
    rate: float | None = None
    """Images per second at present; None if it is unknown."""
    waiting: tuple[str, str] | None = None
    """Reason and message if the ImageBatch must wait at present; otherwise None."""
    is_idle: bool = False
    """Whether the ImageBatch has no shards besides those in `entries`. If no more images are to be
    described, the ImageBatch ends."""


def freeze(batch: ImageBatch, manifest: FrozenManifest, now: datetime) -> StatusPatch:
    """Return the patch for queued → processing, after the manifest has been frozen."""
    message = f"{manifest.images} images are to be described"
    if manifest.skipped:
        message += f"; {manifest.skipped} other objects were skipped"

    return {
        "phase": "processing",
        "manifest": manifest.to_json(),
        "images": ImageCounts(total=manifest.images).to_json(),
        "startTime": timestamp(now),
        "conditions": _conditions(
            batch,
            now,
            ("ManifestFrozen", True, BatchReason.MANIFEST_FROZEN, message),
            *_no_longer_waiting(batch),
        ),
    }


def wait(batch: ImageBatch, reason: str, message: str, now: datetime) -> StatusPatch:
    """Return the patch that says why a queued ImageBatch can't be frozen at present."""
    return {"conditions": _conditions(batch, now, ("Waiting", True, reason, message))}


def fail(batch: ImageBatch, reason: str, message: str, now: datetime) -> StatusPatch:
    """Return the patch for queued or processing → failed, which is final."""
    return {
        "phase": "failed",
        **_finished(batch, now),
        "conditions": _conditions(
            batch, now, ("Failed", True, reason, message), *_no_longer_waiting(batch)
        ),
    }


def advance(batch: ImageBatch, progress: Progress, now: datetime) -> StatusPatch:
    """Return the patch that counts finished shards, and ends the ImageBatch if nothing is left.

    A shard is counted with all or none of its images, so `entries` must not contain images that
    have been counted before.
    """
    counts, status = _counts(batch, progress.entries), batch.status
    patch: StatusPatch = {"images": counts.to_json()}

    if progress.entries:
        patch |= _counted(batch, progress.entries)
    if progress.rate is not None:
        patch["rate"] = format_rate(progress.rate)

    changes: list[_Change] = []
    if progress.waiting:
        changes.append(("Waiting", True, *progress.waiting))
    elif status.condition("Waiting"):
        changes.append(("Waiting", False, BatchReason.NOT_WAITING, "the batch no longer waits"))
    if batch.spec.suspend:
        message = "set spec.suspend to false to resume the batch"
        changes.append(("Suspended", True, BatchReason.SUSPENDED, message))
    elif status.condition("Suspended"):
        changes.append(("Suspended", False, BatchReason.RESUMED, "the batch was resumed"))

    if counts.ended >= counts.total or progress.is_idle:
        patch |= _end(batch, counts, patch, changes, now)

    return patch | {"conditions": _conditions(batch, now, *changes)}


def format_rate(images_per_second: float) -> str:
    """Return a rate as kubectl shows it: 153/s, 4.2/s, or 0.031/s."""
    return f"{images_per_second:.0f}/s" if images_per_second >= 10 else f"{images_per_second:.2g}/s"


def after(batch: ImageBatch, patch: StatusPatch) -> ImageBatch:
    """Return the ImageBatch as it is after the patch."""
    status = {**batch.status.to_json(), **patch}
    present = {name: value for name, value in status.items() if value is not None}
    return batch.model_copy(update={"status": ImageBatchStatus.model_validate(present)})


_Change = tuple[str, bool, str, str]
"""A condition to set: its type, its status, its reason and its message."""


def _no_longer_waiting(batch: ImageBatch) -> list[_Change]:
    """Return the change that ends the condition Waiting, if the ImageBatch has it."""
    if batch.status.true_condition("Waiting") is None:
        return []

    return [("Waiting", False, BatchReason.NOT_WAITING, "the batch no longer waits")]


def _counts(batch: ImageBatch, entries: Iterable[IndexEntry]) -> ImageCounts:
    done = batch.counts.done + sum(entry.done for entry in entries)
    failed = batch.counts.failed + sum(entry.failed for entry in entries)
    return ImageCounts(total=batch.total, done=done, failed=failed)


def _counted(batch: ImageBatch, entries: Sequence[IndexEntry]) -> StatusPatch:
    before = batch.status
    counted = batch.counted | RangeSet(it for entry in entries for it in entry.ended.ranges)
    size = before.results.size_bytes or 0 if before.results else 0
    results = BatchResults(
        index=batch.index + 1, size_bytes=size + sum(entry.size_bytes or 0 for entry in entries)
    )
    failures = [*before.failures, *(it for entry in entries for it in entry.failures)]

    return {
        "counted": str(counted),
        "suspects": format_ranges(_suspects(batch, entries, counted)) or None,
        "results": results.to_json(),
        "usage": _usage(before.usage, entries),
        "failures": _short([it.to_json() for it in failures[:MAX_FAILURES]]),
    }


def _short(failures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first failures, as many as a status has room for."""
    sizes = accumulate(len(json.dumps(it, ensure_ascii=False).encode()) for it in failures)
    return [it for it, size in zip(failures, sizes, strict=True) if size <= MAX_FAILURES_BYTES]


def _suspects(
    batch: ImageBatch, entries: Sequence[IndexEntry], counted: RangeSet
) -> Iterable[Range]:
    """Yield the ranges that must be tried alone: new ones replace those that contain them."""
    new = [it for entry in entries for it in entry.suspect_ranges]
    replaced = counted | RangeSet(new)
    yield from (it for it in batch.suspects if not replaced.overlaps(it))
    yield from (it for it in new if not counted.overlaps(it))


def _usage(before: Usage | None, entries: Iterable[IndexEntry]) -> dict[str, int] | None:
    known = [usage for usage in (before, *(entry.usage for entry in entries)) if usage]
    if not known:
        return None

    return {
        "inputTokens": sum(usage.input_tokens for usage in known),
        "outputTokens": sum(usage.output_tokens for usage in known),
    }


def _end(
    batch: ImageBatch,
    counts: ImageCounts,
    patch: StatusPatch,
    changes: list[_Change],
    now: datetime,
) -> StatusPatch:
    """Return the final part of the patch, and add the final condition to `changes`.

    If the ImageBatch continues, return an empty patch.
    """
    reason = after(batch, patch).stop_reason
    summary = f"{counts.done} of {counts.total} images were described, {counts.failed} failed"

    if counts.ended >= counts.total and reason in {None, "Cancelled"}:
        changes.append(("Complete", True, BatchReason.COMPLETED, summary))
        phase = "done"
    elif reason:
        changes.append(("Failed", True, reason, summary))
        phase = "failed"
    else:
        return {}

    seconds = max((now - (batch.status.start_time or now)).total_seconds(), 1e-3)
    return {
        "phase": phase,
        "rate": format_rate(counts.ended / seconds),
        **_finished(batch, now),
    }


def _finished(batch: ImageBatch, now: datetime) -> StatusPatch:
    elapsed = max(now - (batch.status.start_time or now), timedelta(0))
    return {"completionTime": timestamp(now), "duration": f"{elapsed.total_seconds():.3f}s"}


def _conditions(batch: ImageBatch, now: datetime, *changes: _Change) -> list[dict[str, Any]]:
    """Return all conditions. One whose status does not change keeps its transition time."""
    found = {it.type: it for it in batch.status.conditions}
    for kind, is_true, reason, message in changes:
        new = new_condition(
            batch.metadata, kind, "True" if is_true else "False", reason, message, now
        )
        before: Condition | None = found.get(kind)
        if before and before.status == new.status:
            new = new.model_copy(update={"last_transition_time": before.last_transition_time})
        found[kind] = new

    return [it.to_json() for it in found.values()]
