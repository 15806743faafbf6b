"""A world for decide(): what the API server would have shown, told in a line each."""

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
    Announce,
    Assign,
    Cordon,
    Expire,
    Fail,
    Launch,
    Report,
    Requeue,
    Retire,
)
from vision_node_operator.decisions.decide import decide
from vision_node_operator.settings import Settings
from vision_node_operator.state.pools import Pool
from vision_node_operator.state.state import Kind, State
from vision_node_operator.state.worker_registry import JOB_UID_LABEL, TEMPLATE_LABEL

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEMPLATE = {"spec": {"containers": [{"name": "worker"}]}}
SPEC = {"minWorkers": 0, "maxWorkers": 2, "concurrency": 2, "idleSeconds": 60}
SETTINGS = Settings("ns", owner_name="describers", job_prefix="vn")


def pool_of(body: dict[str, Any], base: dict[str, Any]) -> Pool:
    """Return the pool of a Describer that is alone; `base` is the chart's pod template."""
    return Pool.made(Describer.model_validate(body), base, {})


POOL = pool_of({"metadata": {"name": "metadata"}, "spec": SPEC}, TEMPLATE)


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


class World:
    """Builds a State out of watch events, as the reconciler does."""

    def __init__(self) -> None:
        self.state = State(pod_template=TEMPLATE, pools={"metadata": POOL})
        self.version = 100

    def see(self, kind: Kind, name: str, when: float = 0, **body: Any) -> None:
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
        self.see(
            "imagejobs",
            name,
            seen,
            metadata={
                "uid": name,
                "creationTimestamp": at(created),
                "labels": {OWNER_LABEL: owner},
            },
            spec={"image": {"key": "images/1"}, **(spec or {})},
            status={"phase": "queued", **status},
        )

    def processing(self, name: str, worker: str, **status: Any) -> None:
        attempt = {"attempts": 1, "attemptDeadline": at(30)}
        self.job(name, **{"phase": "processing", "worker": worker, **attempt, **status})

    def worker(
        self,
        slot: int,
        *,
        pod: bool = True,
        pod_status: Any = None,
        phase: str = "Running",
        heard: float | None = -1,
        template: str | None = None,
        describer: str = "metadata",
        job_status: Any = None,
        deleting: bool = False,
        created: float = -100,
        uid: str = "",
    ) -> None:
        name, uid = f"vn-{describer}-{slot}", uid or f"uid{slot}"
        template = template or self.state.pools.get(describer, POOL).template_hash
        labels = {
            COMPONENT_LABEL: WORKER_COMPONENT,
            DESCRIBER_LABEL: describer,
            TEMPLATE_LABEL: template,
        }
        meta = {"labels": labels, "uid": uid, "creationTimestamp": at(created)}
        self.see("jobs", name, metadata=meta, status=job_status or {})
        gone = {"deletionTimestamp": at(0)} if deleting else {}

        if pod:
            meta = {"labels": {**labels, JOB_UID_LABEL: uid}, **gone}
            self.see(
                "pods", f"w{slot}", metadata=meta, status={"phase": phase, **(pod_status or {})}
            )

        if heard is not None:
            self.lease(slot, heard)

    def lease(self, slot: int, heard: float) -> None:
        labels = {DESCRIBER_LABEL: "metadata"}
        self.see(
            "leases", f"w{slot}", heard, metadata={"labels": labels}, spec={"renewTime": at(heard)}
        )

    def forget(self, kind: Kind, name: str, after: float = 0) -> None:
        self.version += 1
        self.state.forget(kind, name, self.version, NOW + timedelta(seconds=after))

    def describer(self, *, status: Any = None, **spec: Any) -> None:
        """Have the Describer say this."""
        body = {"metadata": {"name": "metadata"}, "spec": {**SPEC, **spec}, "status": status or {}}
        self.state.pools["metadata"] = pool_of(body, TEMPLATE)

    def decide(self, after: float = 0, **spec: Any) -> list[str]:
        """Return what is decided, in words; what is said of the describer apart (see report)."""
        if spec:
            self.describer(**spec)
        actions = decide(self.state, SETTINGS, NOW + timedelta(seconds=after))
        return [words(action) for action in actions if not isinstance(action, Report)]

    def report(self, after: float = 0) -> Report | None:
        """Return what is said of the describer."""
        actions = decide(self.state, SETTINGS, NOW + timedelta(seconds=after))
        return next((action for action in actions if isinstance(action, Report)), None)


def words(action: Action) -> str:
    match action:
        case Assign():
            return f"assign {action.job.metadata.name} to {action.worker}"
        case Requeue() | Fail():
            how = ""
            if isinstance(action, Requeue):
                how = f" +{(action.next_attempt - NOW).total_seconds():g}"
                how += " free" * action.lost + " suspect" * action.suspect
            return (
                f"{type(action).__name__.lower()} {action.job.metadata.name} {action.reason}{how}"
            )
        case Expire() | Launch() | Retire():
            return f"{type(action).__name__.lower()} {action.name}"
        case Cordon():
            return f"cordon {action.worker}"
        case Announce() | Report():
            return type(action).__name__.lower()
