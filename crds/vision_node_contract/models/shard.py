"""Typed models of shards: ImageJobs for some of an ImageBatch's images.

Their source of truth is imagejobs.vision-node.dev.yaml, as for ImageJobs with a single image.
"""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field

from ..names import BATCH_KIND, BATCH_LABEL, GROUP, KIND, OWNER_LABEL, VERSION
from ..ranges import Range, RangeSet, parse_ranges
from .description import Options
from .imagejob import TERMINAL, ImageJobStatus, KubeModel, ObjectMeta, ShardOutcome

MAX_SHARD_IMAGES = 1000
"""Maximum number of images of a shard, as in the CRD."""

NAME_CHARACTERS = 40
"""Number of characters of the batch's name in the names of its shards."""

UID_CHARACTERS = 8
"""Number of characters of the batch's uid in the names of its shards. They distinguish the shards
of a batch from those of a deleted batch with the same name."""


class ImageRange(KubeModel):
    """Consecutive images of an ImageBatch (`spec.images`)."""

    batch: str
    batch_uid: str = Field(alias="batchUID")
    manifest: str
    first: int
    count: int
    alone: bool = False
    min_interval_seconds: float | None = None

    @property
    def range(self) -> Range:
        """The images' indexes in the manifest."""
        return Range(self.first, self.first + self.count - 1)


class ShardSpec(KubeModel):
    """The images of a shard, and how to describe them."""

    images: ImageRange
    describer: str = "local"
    options: Options | None = None
    priority: int = 0
    max_attempts: int | None = None
    timeout_seconds: int | None = None
    cancel: bool = False


class Shard(KubeModel):
    """An ImageJob for some of an ImageBatch's images."""

    metadata: ObjectMeta
    spec: ShardSpec
    status: ImageJobStatus = ImageJobStatus()

    @property
    def finished(self) -> bool:
        """Whether the status is final."""
        return self.status.phase in TERMINAL

    @property
    def range(self) -> Range:
        """The indexes of the shard's images in the manifest."""
        return self.spec.images.range

    @property
    def is_alone(self) -> bool:
        """Whether the shard's only image is tried alone."""
        return self.spec.images.alone and self.range.size == 1

    @property
    def rest(self) -> RangeSet:
        """The indexes of the images that a finished shard has left to other shards.

        If a shard of one image has failed without an outcome, its image has failed. If a larger
        shard has failed, nothing is known about its images, so all of them are left.
        """
        outcome = self.status.images
        whole = RangeSet([self.range])
        if outcome is None:
            is_failed_image = self.status.phase == "failed" and self.range.size == 1
            return RangeSet() if is_failed_image else whole

        return RangeSet.parse(outcome.rest or "")

    @property
    def ended(self) -> RangeSet:
        """The indexes of the images for which a finished shard has a result or an error."""
        return RangeSet([self.range]) - self.rest

    @property
    def suspects(self) -> list[Range]:
        """The ranges of images that may have killed or blocked the worker of a finished shard."""
        outcome = self.status.images
        return parse_ranges(outcome.suspects or "") if outcome else []

    @property
    def contradiction(self) -> str | None:
        """What is wrong with the outcome, which a worker has written; None if nothing is.

        The schema can't check that its parts agree with one another and with the shard.
        """
        outcome = self.status.images
        if outcome is None or not self.finished:
            return None

        try:
            rest, suspects = self.rest, self.suspects
        except ValueError as error:
            return str(error)

        return _contradiction(self.range, outcome, rest, suspects)

    def without_outcome(self) -> Self:
        """Return the shard with an outcome that leaves all of its images to other shards."""
        before = self.status.images
        stopped = before.stopped if before else None
        outcome = ShardOutcome(done=0, failed=0, rest=str(self.range), stopped=stopped)
        status = self.status.model_copy(update={"images": outcome})
        return self.model_copy(update={"status": status})


def _contradiction(
    whole: Range, outcome: ShardOutcome, rest: RangeSet, suspects: Sequence[Range]
) -> str | None:
    """Return which parts of an outcome for the images `whole` don't agree; None if all do."""
    ended = whole.size - len(rest)
    if not RangeSet([whole]).issuperset(rest):
        return "rest has images of other shards"
    if min(outcome.done, outcome.failed) < 0 or outcome.done + outcome.failed != ended:
        return f"done + failed is {outcome.done + outcome.failed}, but {ended} images have ended"
    if (outcome.key is None) == (ended > 0):
        return "key must be set if and only if some images have ended"

    tried_alone = RangeSet(suspects)
    if not rest.issuperset(tried_alone) or len(tried_alone) != sum(it.size for it in suspects):
        return "suspects are not separate parts of rest"

    return None


def is_shard(body: dict[str, Any]) -> bool:
    """Return whether an ImageJob, as JSON from the API server, is a shard of an ImageBatch."""
    return "images" in body.get("spec", {})


def shard_name(batch: str, batch_uid: str, first: int) -> str:
    """Return the name of the shard whose first image has the index `first`.

    The same shard always has the same name, so that it can't be created twice.
    """
    start = batch[:NAME_CHARACTERS].rstrip("-.")
    return f"{start}-{batch_uid[:UID_CHARACTERS]}-{first}"


def shard_manifest(spec: ShardSpec, owner: str | None) -> dict[str, Any]:
    """Return the JSON of a shard to create; `owner` is the batch's owner label, if it has one.

    The batch owns the shard, so that Kubernetes deletes it with the batch even while no operator is
    running.
    """
    images = spec.images
    owner_reference = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": BATCH_KIND,
        "name": images.batch,
        "uid": images.batch_uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    labels = {BATCH_LABEL: images.batch_uid} | ({OWNER_LABEL: owner} if owner else {})

    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {
            "name": shard_name(images.batch, images.batch_uid, images.first),
            "labels": labels,
            "ownerReferences": [owner_reference],
        },
        "spec": spec.to_json(),
    }
