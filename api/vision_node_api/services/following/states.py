"""Read the states of followed objects, and make their texts once for all followers."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from vision_node_contract.clients.kube import KubeError, NotFoundError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import TERMINAL, ImageJob

from ...watch.change_log import Change, ChangeLog, Key
from ...web.event_stream import event_text
from ...web.problems import Problem
from ..batches.batch_images import BatchImage, BatchImages
from ..batches.batches import Batches
from ..jobs import Jobs
from ..owners import Labeled, owner_of

log = logging.getLogger(__name__)

TEXT_BYTES = 4 << 20
"""Maximum memory for texts of events: those of about 6,000 jobs. Others are made again."""

TEXT_OVERHEAD_BYTES = 300
"""Memory of a text in addition to its bytes."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """Functions that return the JSON of states, as other routes send it."""

    job: Callable[[ImageJob], str]
    image: Callable[[str, BatchImage], str]
    batch: Callable[[ImageBatch, str], str]
    """Takes the path below which clients reach the API, too."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of an object, as an event without its id."""

    text: bytes
    version: int
    """Its resourceVersion; 0 if it is only in the history."""
    is_final: bool


class States:
    """Reads states. Texts are shared by all followers."""

    def __init__(
        self, jobs: Jobs, batches: Batches, images: BatchImages, rendering: Rendering
    ) -> None:
        self.jobs = jobs
        self._batches = batches
        self._images = images
        self._rendering = rendering
        self._texts: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        """Texts by the number of the change and the root path, from the oldest to the newest."""
        self._bytes = 0

    def are_listed(self, changes: ChangeLog) -> bool:
        """Return whether all objects that the API may read have been listed."""
        can_read_batches = not self._batches.follower.refusal
        return changes.has_listed("job") and (changes.has_listed("batch") or not can_read_batches)

    async def cluster_version(self) -> int:
        """Return the current resourceVersion of the cluster.

        Raises:
            KubeError: The API server did not respond, or refused the request.
        """
        return await self.jobs.imagejobs.current_version()

    async def read(self, key: Key, root_path: str) -> State:
        """Return the current state of a job or a batch.

        Raises:
            Problem: as for `Jobs.get` and `Batches.get`.
        """
        kind, name = key
        if kind == "batch":
            batch = await self._batches.get(name)
            return self._batch_state(batch, root_path)

        job = await self.jobs.get(name)
        return self._job_state(job)

    async def read_image(self, job_id: str) -> State | None:
        """Return the state of an image of a batch; None if there is no such image.

        Raises:
            Problem: as for `BatchImages.find`.
        """
        image = await self._images.find(job_id)
        if image is None:
            return None

        text = event_text("job", self._rendering.image(job_id, image))
        return State(text, _version(image.batch), image.phase in TERMINAL)

    async def text_of(self, change: Change, root_path: str) -> bytes | None:
        """Return the event for a change; None if the object can't be read.

        An object that is gone, or belongs to someone else by now, needs no event, because that
        change follows.
        """
        if change.is_deleted:
            return deleted_text(change.kind, change.name, change.version)

        cached = change.sequence, root_path if change.kind == "batch" else ""
        if (text := self._texts.get(cached)) is None:
            text = await self._make(change, root_path)
            if text is not None:
                self._keep(cached, text)

        return text

    async def _make(self, change: Change, root_path: str) -> bytes | None:
        try:
            if change.kind == "batch":
                batch = await self._batches.cache.get(change.name)
                return self._batch_state(batch, root_path).text if _is_of(batch, change) else None
            job = await self.jobs.cache.get(change.name)
            return self._job_state(job).text if _is_of(job, change) else None
        except NotFoundError:
            return None
        except (KubeError, ValueError) as error:
            log.warning("%s %s can't be sent to followers: %s", change.kind, change.name, error)
            return None

    def _keep(self, cached: tuple[int, str], text: bytes) -> None:
        self._texts[cached] = text
        self._bytes += len(text) + TEXT_OVERHEAD_BYTES
        while self._bytes > TEXT_BYTES:
            _, oldest = self._texts.popitem(last=False)
            self._bytes -= len(oldest) + TEXT_OVERHEAD_BYTES

    def _job_state(self, job: ImageJob) -> State:
        return State(event_text("job", self._rendering.job(job)), _version(job), job.finished)

    def _batch_state(self, batch: ImageBatch, root_path: str) -> State:
        text = event_text("batch", self._rendering.batch(batch, root_path))
        return State(text, _version(batch), batch.finished)


def _is_of(found: Labeled, change: Change) -> bool:
    """Return whether an object still belongs to the owner who may get the event."""
    return owner_of(found.metadata.labels) == change.owner


def deleted_text(kind: str, name: str, version: int) -> bytes:
    """Return the event for a deletion."""
    return event_text("deleted", {deleted_member(kind): name, "version": str(version)})


def deleted_member(kind: str) -> str:
    """Return the member of the data that names the deleted object."""
    return "batch" if kind == "batch" else "job_id"


def is_missing(problem: Problem) -> bool:
    """Return whether a problem says that an object does not exist."""
    return problem.status == 404


def _version(found: ImageJob | ImageBatch) -> int:
    version = found.metadata.resource_version
    return int(version) if version.isdecimal() else 0
