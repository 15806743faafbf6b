"""What lists show of an ImageBatch."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from vision_node_contract.models.imagebatch import ImageBatch, ImageBatchSpec, ImageCounts
from vision_node_contract.models.imagejob import Phase

SourceKind = Literal["prefix", "manifest", "upload"]
"""Where the images of an ImageBatch come from: the field of its spec that is set."""


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """An ImageBatch in a list."""

    name: str
    uid: str
    phase: Phase
    describer: str
    source: SourceKind | None
    images: ImageCounts
    created_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def of(cls, batch: ImageBatch) -> Self:
        """Return what lists show of an ImageBatch."""
        meta, status = batch.metadata, batch.status

        return cls(
            name=meta.name,
            uid=meta.uid,
            phase=status.phase,
            describer=batch.spec.describer,
            source=source_of(batch.spec),
            images=batch.counts,
            created_at=meta.creation_timestamp,
            completed_at=status.completion_time,
        )


def source_of(spec: ImageBatchSpec) -> SourceKind | None:
    """Return where the images come from; None if the spec has a source of a later version."""
    if spec.prefix is not None:
        return "prefix"
    if spec.manifest is not None:
        return "manifest"

    return "upload" if spec.upload is not None else None
