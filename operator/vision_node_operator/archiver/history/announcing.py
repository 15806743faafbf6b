"""Add messages to callbacks in the transactions that archive jobs and batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID, uuid5

from psycopg import AsyncConnection
from vision_node_contract.callbacks.urls import host_of
from vision_node_contract.history.records import ImageRow, JobRow
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.names import OWNER_LABEL

from .row_writer import clean

# A row that was refused, or has a tombstone, has no message.
_ANNOUNCE = """
INSERT INTO deliveries (id, uid, is_batch, owner, host, url, event)
SELECT it.*
FROM unnest(
    %s::uuid[], %s::uuid[], %s::boolean[], %s::text[], %s::text[], %s::text[], %s::text[]
) AS it (id, uid, is_batch, owner, host, url, event)
WHERE EXISTS (SELECT FROM jobs WHERE jobs.uid = it.uid)
    OR EXISTS (SELECT FROM batches WHERE batches.uid = it.uid)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A message that is to be sent about the end of a job or a batch."""

    uid: str
    is_batch: bool
    owner: str
    url: str
    event: str

    @classmethod
    def of_job(cls, image: ImageRow, job: JobRow) -> Self | None:
        """Return the message about a job; None if it has no callback."""
        if not job.callback_url:
            return None

        event = f"imagejob.{image.phase}"
        return cls(job.uid, is_batch=False, owner=image.owner, url=job.callback_url, event=event)

    @classmethod
    def of_batch(cls, batch: ImageBatch) -> Self | None:
        """Return the message about a batch; None if it has no callback, or is not finished."""
        meta, url = batch.metadata, batch.spec.callback_url
        if not url or not batch.finished:
            return None

        owner, event = meta.labels.get(OWNER_LABEL, ""), f"imagebatch.{batch.status.phase}"
        return cls(meta.uid, is_batch=True, owner=owner, url=url, event=event)

    @property
    def id(self) -> UUID:
        """The id of the message, by which a receiver notices that it got the message before."""
        return uuid5(UUID(self.uid), "callback")


async def announce(connection: AsyncConnection, messages: Sequence[NewDelivery]) -> None:
    """Add messages about jobs and batches whose rows exist, unless they have been added before."""
    values: list[list[object]] = [
        [it.id for it in messages],
        [it.uid for it in messages],
        [it.is_batch for it in messages],
        [clean(it.owner) for it in messages],
        [clean(host_of(it.url)) for it in messages],
        [clean(it.url) for it in messages],
        [it.event for it in messages],
    ]
    await connection.execute(_ANNOUNCE, values)
