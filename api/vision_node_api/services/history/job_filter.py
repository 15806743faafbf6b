"""Which jobs are in a list: the same decision for ImageJobs and for rows of the history."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from vision_node_contract.models.imagejob import TERMINAL, ImageJob, ImageJobSpec, Phase
from vision_node_contract.names import OWNER_LABEL

from .history_rows import Position

DEFAULT_DESCRIBER: str = ImageJobSpec.model_fields["describer"].default
"""The describer of an ImageJob whose spec names none."""

BEFORE_ALL = "00000000-0000-0000-0000-000000000000"
"""A uid before all others. The place with this uid is behind all jobs of its time."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What jobs must have. Fields that are None or empty allow everything."""

    phases: frozenset[Phase] = frozenset()
    describer: str | None = None
    batch: str | None = None
    """Only images of ImageBatches with this name."""
    reason: str | None = None
    """Only failed jobs with this reason."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values of labels. Images of ImageBatches have none."""
    after: datetime | None = None
    """Only jobs that were created at this time or later."""
    before: datetime | None = None
    """Only jobs that were created before this time."""
    owner: str | None = None

    @property
    def is_selective(self) -> bool:
        """Whether it wants more than an owner, for whose jobs there is an index."""
        return self != JobFilter(owner=self.owner)

    @property
    def wants_finished(self) -> bool:
        """Whether finished jobs may be wanted. The history has no others."""
        return not self.phases or bool(self.phases & TERMINAL)

    def start(self, place: Position) -> Position:
        """Return where a list that would begin after a place begins with this filter."""
        if self.before is None:
            return place

        return min(place, Position(self.before, BEFORE_ALL))

    def accepts(self, job: ImageJob) -> bool:
        """Return whether an ImageJob with a single image is wanted."""
        meta, status = job.metadata, job.status
        reason = status.error.reason if status.error and status.phase == "failed" else None

        return (
            self.batch is None
            and (not self.phases or status.phase in self.phases)
            and self.describer in (None, job.spec.describer)
            and self.reason in (None, reason)
            and (not self.owner or meta.labels.get(OWNER_LABEL) == self.owner)
            and all(meta.labels.get(name) == value for name, value in self.labels)
            and self._accepts_time(meta.creation_timestamp)
        )

    def _accepts_time(self, created: datetime | None) -> bool:
        if created is None:
            return self.after is None and self.before is None

        return (self.after is None or created >= self.after) and (
            self.before is None or created < self.before
        )

    def hints(self) -> list[bytes]:
        """Return what the text of each wanted ImageJob contains, as the cache writes it.

        Looking for these takes a hundredth of the time in which an ImageJob is parsed.
        """
        return [it.encode() for it in self._hints()]

    def _hints(self) -> Iterator[str]:
        # What is missing in the text has its default value.
        if len(self.phases) == 1 and "queued" not in self.phases:
            yield f'"phase":"{next(iter(self.phases))}"'
        if self.describer and self.describer != DEFAULT_DESCRIBER:
            yield f'"describer":"{self.describer}"'
        if self.reason:
            yield f'"reason":{json.dumps(self.reason)}'
        yield from (f'"{name}":"{value}"' for name, value in self.labels)

    def condition(self) -> LiteralString:
        """Return the condition in SQL for rows of the table images, with values().

        It lacks the labels, for which body_condition() has to read the body.
        """
        conditions: list[LiteralString] = ["true"]
        if self.phases:
            conditions.append("phase = ANY(%(phases)s)")
        if self.describer:
            conditions.append("describer = %(describer)s")
        if self.reason:
            conditions.append("phase = 'failed' AND reason = %(reason)s")
        if self.after:
            conditions.append("at >= %(after)s")
        if self.before:
            conditions.append("at < %(before)s")
        if self.batch:
            conditions.append("image_index >= 0 AND name = %(batch)s")
        if self.owner:
            conditions.append("owner = %(owner)s")
        return " AND ".join(conditions)

    def body_condition(self) -> LiteralString:
        """Return the condition in SQL for the body, which is compressed and apart from its row."""
        return "image_index < 0 AND body ~ ALL(%(labels)s)" if self.labels else "true"

    def values(self) -> dict[str, object]:
        """Return the values of the condition's parameters."""
        return {
            "phases": sorted(self.phases),
            "describer": self.describer,
            "reason": self.reason,
            "after": self.after,
            "before": self.before,
            "batch": self.batch,
            "owner": self.owner or None,
            "labels": [_pattern(name, value) for name, value in self.labels],
        }


EVERYTHING = JobFilter()
"""Allows all jobs."""


def _pattern(name: str, value: str) -> str:
    """Return a regular expression for the JSON of an ImageJob with this label.

    The body is compared as text, because PostgreSQL's functions for JSON fail for some characters.
    Only metadata has a member `labels`, and texts can't look like it, because their quotes are
    escaped. Labels contain neither quotes nor braces.
    """
    return rf'"labels": ?\{{[^{{}}]*"{re.escape(name)}": ?"{re.escape(value)}"'
