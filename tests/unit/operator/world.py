"""A fake cluster for tests of decide(): a State that is built from simulated watch events."""

from datetime import UTC, datetime, timedelta
from typing import Any

from vision_node_contract.models.describer import Describer
from vision_node_contract.names import (
    COMPONENT_LABEL,
    DESCRIBER_LABEL,
    OWNER_LABEL,
    WORKER_COMPONENT,
)
from vision_node_operator.decisions.actions import (
    Action,
    AdvanceBatch,
    Assign,
    BatchWrite,
    CancelShard,
    Cordon,
    CreateShard,
    DeleteShard,
    EmitEvent,
    Expire,
    ExpireBatch,
    ExpireUpload,
    Fail,
    GiveUpShard,
    JobWrite,
    Launch,
    Requeue,
    Retire,
    UpdateStatus,
    target,
)
from vision_node_operator.decisions.decide import decide
from vision_node_operator.settings import Settings
from vision_node_operator.state.describer_record import DescriberRecord
from vision_node_operator.state.describer_registry import DescriberRegistry
from vision_node_operator.state.job_queue import JobQueue
from vision_node_operator.state.object_versions import Kind, ObjectKey
from vision_node_operator.state.pools.pool import Pool
from vision_node_operator.state.state import State
from vision_node_operator.state.worker_objects import JOB_UID_LABEL, TEMPLATE_LABEL

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEMPLATE = {"spec": {"containers": [{"name": "worker"}]}}
SPEC = {"minWorkers": 0, "maxWorkers": 2, "concurrency": 2, "idleSeconds": 60}
SETTINGS = Settings("ns", owner_name="describers", job_prefix="vn")


def pool_of(body: dict[str, Any], base: dict[str, Any]) -> Pool:
    """Return a Describer's pool; `base` is the chart's pod template."""
    return Pool.build(Describer.model_validate(body), base, {})


POOL = pool_of({"metadata": {"name": "metadata"}, "spec": SPEC}, TEMPLATE)


def at(seconds: float) -> str:
    """Return the ISO 8601 time that is `seconds` after NOW."""
    return (NOW + timedelta(seconds=seconds)).isoformat()


class World:
    """A fake cluster that passes watch events to a State, as the reconciler does."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.state = State(
            knows_all_imagejobs=True,
            describers=DescriberRegistry(TEMPLATE, {"metadata": DescriberRecord(POOL)}),
            job_queue=JobQueue(settings.job_kept, settings.min_job_kept),
        )
        self.version = 100

    def observe(self, kind: Kind, name: str, when: float = 0, **body: Any) -> None:
        """Report a new or changed object, `when` seconds after NOW."""
        self.version += 1
        meta = {"name": name, "resourceVersion": str(self.version), **body.pop("metadata", {})}
        self.state.observe(kind, {"metadata": meta, **body}, NOW + timedelta(seconds=when))

    def job(
        self,
        name: str,
        *,
        created: float = -10,
        seen: float = 0,
        spec: Any = None,
        owner: str = "",
        **status: Any,
    ) -> None:
        """Report an ImageJob. `created` and `seen` are in seconds after NOW."""
        self.observe(
            "imagejobs",
            name,
            seen,
            metadata={
                "uid": name,
                "creationTimestamp": at(created),
                "labels": {OWNER_LABEL: owner},
            },
            spec={"image": {"key": "images/1"}, "describer": "metadata", **(spec or {})},
            status={"phase": "queued", **status},
        )

    def processing(self, name: str, worker: str, **status: Any) -> None:
        """Report an ImageJob that the worker is processing, with a deadline at 30 s after NOW."""
        attempt = {"attempts": 1, "attemptDeadline": at(30)}
        self.job(name, **{"phase": "processing", "worker": worker, **attempt, **status})

    def worker(
        self,
        slot: int,
        *,
        pod: bool = True,
        pod_status: Any = None,
        phase: str = "Running",
        renewed: float | None = -1,
        template: str | None = None,
        describer: str = "metadata",
        job_status: Any = None,
        deleting: bool = False,
        created: float = -100,
        uid: str = "",
    ) -> None:
        """Report the Job, the pod and the Lease of a worker.

        The pod can be omitted, and `renewed` is None for a worker without a Lease.
        """
        name, uid = f"vn-{describer}-{slot}", uid or f"uid{slot}"
        template = template or (self.state.describers.pool(describer) or POOL).template_hash
        labels = {
            COMPONENT_LABEL: WORKER_COMPONENT,
            DESCRIBER_LABEL: describer,
            TEMPLATE_LABEL: template,
        }
        meta = {"labels": labels, "uid": uid, "creationTimestamp": at(created)}
        self.observe("jobs", name, metadata=meta, status=job_status or {})
        deletion = {"deletionTimestamp": at(0)} if deleting else {}

        if pod:
            meta = {"labels": {**labels, JOB_UID_LABEL: uid}, **deletion}
            self.observe(
                "pods", f"w{slot}", metadata=meta, status={"phase": phase, **(pod_status or {})}
            )

        if renewed is not None:
            self.lease(slot, renewed)

    def lease(self, slot: int, renewed: float, annotations: Any = None) -> None:
        """Report that a worker has renewed its Lease, `renewed` seconds after NOW."""
        labels = {DESCRIBER_LABEL: "metadata"}
        self.observe(
            "leases",
            f"w{slot}",
            renewed,
            metadata={"labels": labels, "annotations": annotations or {}},
            spec={"renewTime": at(renewed)},
        )

    def begin_write(self, kind: Kind, name: str, worker: str = "") -> None:
        self.state.begin_write(ObjectKey(kind, name), worker)

    def end_write(self, kind: Kind, name: str) -> None:
        self.state.end_write(ObjectKey(kind, name))

    def back_off(self, kind: Kind, name: str, seconds: float) -> None:
        self.state.back_off(ObjectKey(kind, name), NOW + timedelta(seconds=seconds))

    @property
    def record(self) -> DescriberRecord:
        """The state's record of the Describer `metadata`."""
        return self.state.describers.record("metadata")

    def forget(self, kind: Kind, name: str, after: float = 0) -> None:
        """Report that an object was deleted, `after` seconds after NOW."""
        self.version += 1
        self.state.forget(kind, name, self.version, NOW + timedelta(seconds=after))

    def describer(self, *, status: Any = None, **spec: Any) -> None:
        """Replace the spec and the status of the Describer `metadata`."""
        body = {"metadata": {"name": "metadata"}, "spec": {**SPEC, **spec}, "status": status or {}}
        self.state.describers.record("metadata").pool = pool_of(body, TEMPLATE)

    def decide(self, after: float = 0, **spec: Any) -> list[str]:
        """Return the decided actions as text, without status updates (see `status_update`)."""
        if spec:
            self.describer(**spec)
        now = NOW + timedelta(seconds=after)
        self.state.begin_round(now)
        actions = decide(self.state, self.settings, now)
        return [to_text(action) for action in actions if not isinstance(action, UpdateStatus)]

    def status_update(self, after: float = 0) -> UpdateStatus | None:
        """Return the decided status update, or None if there is none."""
        actions = decide(self.state, self.settings, NOW + timedelta(seconds=after))
        return next((action for action in actions if isinstance(action, UpdateStatus)), None)


def to_text(action: Action) -> str:
    """Return an action as text, such as "assign a to w0"."""
    return batch_text(action) if isinstance(action, BatchWrite) else job_text(action)


def job_text(action: JobWrite | Cordon) -> str:
    """Return an action on an ImageJob or a worker as text."""
    match action:
        case Assign():
            return f"assign {action.job.metadata.name} to {action.worker}"
        case Requeue() | Fail():
            details = ""
            if isinstance(action, Requeue):
                details = f" +{(action.next_attempt - NOW).total_seconds():g}"
                details += " free" * action.lost + " suspect" * action.suspect
            verb, job = type(action).__name__.lower(), action.job.metadata.name
            return f"{verb} {job} {action.reason}{details}"
        case Expire() | Launch() | Retire():
            return f"{type(action).__name__.lower()} {action.name}"
        case Cordon():
            return f"cordon {action.worker}"
        case EmitEvent():
            return f"emit event for {action.job.metadata.name}"
        case UpdateStatus():
            return "update status"


def batch_text(action: BatchWrite) -> str:
    """Return an action on a batch as text, such as "create 0-7 alone" or "advance b +0-7 idle"."""
    match action:
        case CreateShard():
            return f"create {action.spec.images.range}{' alone' * action.spec.images.alone}"
        case DeleteShard():
            return f"delete {action.name}"
        case GiveUpShard():
            name, suspects = action.shard.metadata.name, action.suspects
            return f"give up {name} {action.reason}" + f" suspects {suspects}" * bool(suspects)
        case CancelShard():
            return f"cancel {action.shard.metadata.name}"
        case ExpireBatch() | ExpireUpload():
            what = "batch" if isinstance(action, ExpireBatch) else "upload"
            return f"expire {what} {target(action).name}"
        case AdvanceBatch(progress=progress):
            text = f"advance {action.batch.metadata.name}"
            text += "".join(f" +{entry.ranges}" for entry in progress.entries)
            text += f" waiting {progress.waiting[0]}" if progress.waiting else ""
            return text + " idle" * progress.is_idle
