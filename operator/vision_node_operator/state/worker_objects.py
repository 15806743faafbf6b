"""The parts of a worker's Kubernetes objects that the operator reads: its Job, Pod and Lease."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from vision_node_contract.json_types import Json
from vision_node_contract.names import (
    ABILITIES_ANNOTATION,
    DESCRIBER_LABEL,
    PROGRESS_ANNOTATION,
    REQUESTS_ANNOTATION,
    WARNING_ANNOTATION,
)

from .problems import Problem, pod_problem
from .termination import Termination

TEMPLATE_LABEL = "vision-node.dev/template-hash"
"""Label of a describer Job. Its value is the hash of the pool's pod template."""

JOB_UID_LABEL = "batch.kubernetes.io/controller-uid"
"""Label of a pod. Its value is the UID of the pod's Job. The Job's name is not enough, because the
name of a retired Job may be reused while its pod is still terminating."""

MAX_REQUESTS_DIGITS = 2
"""Maximum number of digits in the requests-per-image annotation. Workers write the annotation, so
it is untrusted, and a huge number would stop the pool."""

MAX_ABILITIES = 16
"""Maximum number of abilities that are read from a Lease. There is one at present."""

MAX_ANNOTATION_CHARACTERS = 256
"""Maximum length that is read of the annotations with abilities and progress, which are untrusted.
Both are much shorter."""


@dataclass(frozen=True, slots=True)
class DescriberJob:
    """A batch/v1 Job that runs one worker."""

    name: str
    uid: str
    describer: str
    template_hash: str
    created: datetime
    ended: bool
    """Whether the Job's pod has finished, successfully or not."""
    succeeded: bool
    deleting: bool

    @classmethod
    def of(cls, body: Json) -> Self:
        """Read a batch/v1 Job."""
        meta, status = body["metadata"], body.get("status", {})
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            describer=meta["labels"][DESCRIBER_LABEL],
            template_hash=meta["labels"].get(TEMPLATE_LABEL, ""),
            created=datetime.fromisoformat(meta["creationTimestamp"]),
            ended=bool(status.get("succeeded") or status.get("failed")),
            succeeded=bool(status.get("succeeded")),
            deleting="deletionTimestamp" in meta,
        )


@dataclass(frozen=True, slots=True)
class Pod:
    """A worker's pod."""

    name: str
    job_uid: str
    alive: bool
    deleting: bool
    problem: Problem | None = None
    """The problem that prevents the pod from running, or that ended it; None if there is none."""
    termination: Termination | None = None

    @classmethod
    def of(cls, body: Json) -> Self:
        """Read a v1 Pod."""
        meta, status = body["metadata"], body.get("status", {})
        return cls(
            name=meta["name"],
            job_uid=meta["labels"][JOB_UID_LABEL],
            alive=status.get("phase") not in {"Succeeded", "Failed"},
            deleting="deletionTimestamp" in meta,
            problem=pod_problem(status),
            termination=Termination.of(body),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's Lease. The worker writes all of it, so it is untrusted."""

    worker: str
    """Name of the worker's pod, which is also the name of the Lease."""
    renewed: datetime
    warning: str
    """The describer's warning; empty if there is none."""
    describer: str
    """Name of the describer; empty if requests_per_image is None."""
    requests_per_image: int | None
    """None if the annotation is missing or invalid."""
    abilities: frozenset[str] = frozenset()
    """What the worker can do beyond describing single images."""
    progress: str = ""
    """A text that changes whenever an image of the worker's shard ends. It begins with the shard's
    UID and a slash; it is empty without a shard."""

    @classmethod
    def of(cls, body: Json) -> Self:
        """Read a coordination.k8s.io/v1 Lease."""
        meta = body["metadata"]
        annotations = meta.get("annotations", {})
        abilities = annotations.get(ABILITIES_ANNOTATION, "")[:MAX_ANNOTATION_CHARACTERS]
        requests = annotations.get(REQUESTS_ANNOTATION, "")
        is_valid = requests.isdecimal() and len(requests) <= MAX_REQUESTS_DIGITS

        return cls(
            worker=meta["name"],
            renewed=datetime.fromisoformat(body["spec"]["renewTime"]),
            warning=annotations.get(WARNING_ANNOTATION, ""),
            describer=meta["labels"][DESCRIBER_LABEL] if is_valid else "",
            requests_per_image=max(1, int(requests)) if is_valid else None,
            abilities=frozenset(abilities.split(",")[:MAX_ABILITIES]) - {""},
            progress=annotations.get(PROGRESS_ANNOTATION, "")[:MAX_ANNOTATION_CHARACTERS],
        )
