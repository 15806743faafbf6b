"""A model of an API server, a bucket, workers and operators, to walk the crash points of a batch.

Each step of an operator is one write, so that it can be killed between any two writes. The model
uses the real decisions and the real transitions.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from vision_node_contract.batch_objects import IndexEntry
from vision_node_contract.models import batch_transitions, transitions
from vision_node_contract.models.batch_transitions import Progress
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ShardOutcome
from vision_node_contract.models.shard import Shard, shard_manifest
from vision_node_contract.names import ABILITIES_ANNOTATION
from vision_node_contract.ranges import RangeSet
from vision_node_operator.decisions.actions import (
    AdvanceBatch,
    Assign,
    CancelShard,
    CreateShard,
    DeleteShard,
    Fail,
    GiveUpShard,
    Requeue,
    Write,
)
from vision_node_operator.decisions.decide import decide
from world import NOW, SETTINGS, World

BATCH = "holiday"
BATCH_UID = "0b1c2d3e-0000-4000-8000-000000000001"
STEP = timedelta(seconds=1.5)
"""Time between two steps: longer than the shortest time between two writes of a status."""

SIZES = (8, 3, 5)
"""Numbers of images of the first shards that successive operators create."""

Objects = dict[str, dict[str, Any]]


class ConflictError(Exception):
    """The object has changed or does not exist."""


@dataclass
class Cluster:
    """The objects in the API server and in the bucket."""

    batches: Objects = field(default_factory=dict)
    shards: Objects = field(default_factory=dict)
    index: dict[int, list[IndexEntry]] = field(default_factory=dict)
    pods: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The status of each worker's pod by slot; those that have vanished are missing."""
    now: datetime = NOW
    operators: Iterator[int] = field(default_factory=itertools.count)
    """Numbers of the operators."""
    _versions: Iterator[int] = field(default_factory=lambda: itertools.count(1000))
    _uids: Iterator[int] = field(default_factory=itertools.count)

    def new(self, objects: Objects, body: dict[str, Any], uid: str = "") -> None:
        """Create an object, unless one of this name exists."""
        name = body["metadata"]["name"]
        if name not in objects:
            created = self.now.replace(microsecond=0).isoformat()
            uid = uid or f"uid-{next(self._uids)}"
            meta = {**body["metadata"], "uid": uid, "creationTimestamp": created}
            objects[name] = {"status": {"phase": "queued"}, **body, "metadata": meta}
            self._touch(objects[name])

    def patch(self, objects: Objects, seen: Shard | ImageBatch, patch: dict[str, Any]) -> None:
        """Change an object's status, if it has not changed since it was seen."""
        body = objects.get(seen.metadata.name)
        if not body or body["metadata"]["resourceVersion"] != seen.metadata.resource_version:
            raise ConflictError
        if objects is self.shards and body["status"]["phase"] in {"done", "failed"}:
            raise AssertionError("a final status must not change")

        status = {**body["status"], **patch}
        body["status"] = {name: value for name, value in status.items() if value is not None}
        self._touch(body)

    def edit(self, objects: Objects, name: str, **spec: Any) -> None:
        """Change an object's spec."""
        if body := objects.get(name):
            body["spec"] = {**body["spec"], **spec}
            self._touch(body)

    def delete(self, name: str, uid: str) -> None:
        """Delete a shard, if it still has this UID."""
        if self.shards.get(name, {}).get("metadata", {}).get("uid") == uid:
            del self.shards[name]

    def batch(self) -> ImageBatch:
        return ImageBatch.model_validate(self.batches[BATCH])

    def new_version(self) -> int:
        """Return a new resourceVersion."""
        return next(self._versions)

    def _touch(self, body: dict[str, Any]) -> None:
        meta = {**body["metadata"], "resourceVersion": str(self.new_version())}
        body["metadata"] = meta


def writes(cluster: Cluster, action: Write) -> Iterator[None]:
    """Perform an action; yield between its writes."""
    now = cluster.now
    match action:
        case CreateShard():
            cluster.new(cluster.shards, shard_manifest(action.spec, action.owner))
        case DeleteShard():
            cluster.delete(action.name, action.uid)
        case CancelShard():
            cluster.edit(cluster.shards, action.shard.metadata.name, cancel=True)
        case Assign(job=Shard()):
            deadline = now + action.timeout
            patch = transitions.assign(action.job, worker=action.worker, deadline=deadline, now=now)
            cluster.patch(cluster.shards, action.job, patch)
        case Requeue(job=Shard()):
            patch = transitions.requeue(
                action.job,
                reason=action.reason,
                message=action.message,
                next_attempt=action.next_attempt,
                lost=action.lost,
                now=now,
            )
            cluster.patch(cluster.shards, action.job, patch)
        case Fail(job=Shard()):
            patch = transitions.fail(
                action.job, reason=action.reason, message=action.message, now=now
            )
            cluster.patch(cluster.shards, action.job, patch)
        case GiveUpShard():
            patch = transitions.give_up_shard(
                action.shard,
                reason=action.reason,
                message=action.message,
                suspects=action.suspects,
                now=now,
            )
            cluster.patch(cluster.shards, action.shard, patch)
        case AdvanceBatch():
            yield from _advance(cluster, action)
        case _:
            raise AssertionError(f"{action} concerns no batch")


def _advance(cluster: Cluster, action: AdvanceBatch) -> Iterator[None]:
    batch, progress = action.batch, action.progress
    if progress.entries:
        stored = cluster.index.get(batch.index)
        if stored is None:
            cluster.index[batch.index] = list(progress.entries)
            yield
        elif stored != list(progress.entries):
            progress = Progress(stored, progress.rate, progress.waiting)

    cluster.patch(cluster.batches, batch, batch_transitions.advance(batch, progress, cluster.now))


@dataclass
class Operator:
    """An operator, which knows the cluster from its start on."""

    cluster: Cluster
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.world.state.knows_all_shards = True
        self.world.describer(minWorkers=0, maxWorkers=2, maxAttempts=3, timeoutSeconds=60)
        # Operators that have measured other speeds create shards of other sizes.
        history = self.world.state.batches.history("metadata")
        history.measured_images = 8
        history.seconds_per_image = 2.5 / SIZES[next(self.cluster.operators) % len(SIZES)]

    def next_action(self) -> Write | None:
        """Return the first of the decided actions that concern the batch."""
        self._observe()
        now = self.cluster.now
        self.world.state.begin_round(now)
        for action in decide(self.world.state, SETTINGS, now):
            if isinstance(action, AdvanceBatch):
                self.world.state.batches.record_advance(BATCH, now)
                return action
            if isinstance(action, CreateShard | DeleteShard | CancelShard | GiveUpShard):
                return action
            if isinstance(action, Assign | Requeue | Fail) and isinstance(action.job, Shard):
                return action

        return None

    def _observe(self) -> None:
        state, now = self.world.state, self.cluster.now
        for kind, objects in (
            ("imagebatches", self.cluster.batches),
            ("imagejobs", self.cluster.shards),
        ):
            for body in objects.values():
                state.observe(kind, body, now)  # type: ignore[arg-type]
        for name in [*state.batches.shards]:
            if name not in self.cluster.shards:
                state.forget("imagejobs", name, self.cluster.new_version(), now)

        seconds = (now - NOW).total_seconds()
        for slot, status in self.cluster.pods.items():
            phase = status.get("phase", "Running")
            alive = phase == "Running"
            self.world.worker(slot, pod_status=status, phase=phase, renewed=None)
            if alive:
                self.world.lease(slot, seconds, annotations={ABILITIES_ANNOTATION: "shards"})
            else:
                self.world.forget("leases", f"w{slot}", seconds)
        known = [name for name, it in state.workers.records.items() if it.pod]
        for name in known:
            if int(name.removeprefix("w")) not in self.cluster.pods:
                self.world.forget("pods", name, seconds)
                self.world.forget("leases", name, seconds)
                self.world.forget("jobs", f"vn-metadata-{name.removeprefix('w')}", seconds)


def crashed(message: str = "") -> dict[str, Any]:
    """Return the status of a pod whose container used too much memory."""
    end = {"reason": "OOMKilled", "exitCode": 137, "message": message}
    return {"phase": "Failed", "containerStatuses": [{"state": {"terminated": end}}]}


@dataclass
class Workers:
    """Two workers, which are replaced when they end. What they do follows a fixed pattern."""

    cluster: Cluster
    poison: dict[int, bool]
    """Images that end the worker, and whether it says so in its termination message."""
    committed: dict[str, RangeSet] = field(default_factory=dict)
    """Images that have a result or an error, by the key of their results."""
    failed: set[int] = field(default_factory=set)
    tries: Counter[str] = field(default_factory=Counter)
    _turn: int = 0
    _slots: int = 0

    def act(self) -> None:
        """Let each worker end its shard in some way."""
        alive = [slot for slot, it in self.cluster.pods.items() if "phase" not in it]
        for _ in range(2 - len(alive)):
            self.cluster.pods[self._slots] = {}
            self._slots += 1

        for body in [*self.cluster.shards.values()]:
            shard = Shard.model_validate(body)
            slot = int((shard.status.worker or "w-1").removeprefix("w"))
            if shard.status.phase == "processing" and self.cluster.pods.get(slot) == {}:
                self._work(shard, slot)

    def _work(self, shard: Shard, slot: int) -> None:
        """End the shard in some way, after one to four steps."""
        attempt = f"{shard.metadata.uid}-{shard.status.attempts}"
        self.tries[attempt] += 1
        if self.tries[attempt] <= shard.range.first % 4:
            return

        self._turn += 1
        images = RangeSet([shard.range])
        if culprit := next((it for it in self.poison if it in images), None):
            message = f"{shard.metadata.uid}/{culprit}" if self.poison[culprit] else ""
            self.cluster.pods[slot] = crashed(message)
            return

        match self._turn % 5:
            case 0:
                del self.cluster.pods[slot]  # the node is gone
            case 1 if shard.range.size > 1:
                self._commit(shard, rest=f"{shard.range.first + 1}-{shard.range.last}")
            case 2 if shard.range.size > 2:
                self._commit(shard, rest=str(shard.range.first + 1), failed=1)
            case _:
                self._commit(shard)

    def _commit(self, shard: Shard, rest: str = "", failed: int = 0) -> None:
        ended = RangeSet([shard.range]) - RangeSet.parse(rest)
        key = f"{shard.metadata.uid}-{shard.status.attempts}"
        self.committed[key] = ended
        outcome = ShardOutcome(done=len(ended) - failed, failed=failed, rest=rest or None, key=key)
        patch = transitions.finish_shard(shard, outcome=outcome, now=self.cluster.now)
        self.cluster.patch(self.cluster.shards, shard, patch)


@dataclass
class Model:
    """A run of one batch, in which operators can be killed."""

    images: int = 16
    poison: dict[int, bool] = field(default_factory=lambda: {5: False, 13: True})
    on_write: dict[int, Callable[[Cluster], None]] = field(default_factory=dict)
    """What users do, by the number of writes that came before."""
    writes: int = 0
    kinds: list[str] = field(default_factory=list)
    """What was written: the kind of action, and the number of its writes that came before."""

    def __post_init__(self) -> None:
        self.cluster = Cluster()
        self.workers = Workers(self.cluster, self.poison)
        manifest = {"folder": "batches/x/m1/", "images": self.images, "sha256": "0" * 64}
        body = {
            "metadata": {"name": BATCH},
            "spec": {"prefix": "inbox/", "describer": "metadata"},
            "status": {"phase": "processing", "manifest": manifest},
        }
        self.cluster.new(self.cluster.batches, body, BATCH_UID)

    def run(
        self, operator: Operator, *, limit: int = 2000
    ) -> tuple[Operator, Iterator[None]] | None:
        """Let the operator write up to `limit` times.

        Return None if nothing is left to do. Otherwise, return the operator and the rest of its
        last action, which it has not performed yet.
        """
        idle = 0
        while idle < 24:
            self.workers.act()
            self.cluster.now += STEP
            action = operator.next_action()
            idle = 0 if action else idle + 1
            rest = writes(self.cluster, action) if action else iter(())
            for part in itertools.count():
                if not action:
                    break
                if limit <= 0:
                    return operator, rest
                limit -= 1
                self._count_write()
                self.kinds.append(f"{type(action).__name__} {part}")
                try:
                    next(rest)
                except StopIteration:
                    break
                except ConflictError:
                    break

        return None

    def _count_write(self) -> None:
        if act := self.on_write.get(self.writes):
            act(self.cluster)
        self.writes += 1

    def finish_late(self, rest: Iterator[None]) -> None:
        """Let a killed operator's last action end after all."""
        try:
            for _ in rest:
                pass
        except ConflictError:
            return

    def check(self, *, phase: str = "done") -> None:
        """Check that each image is counted exactly once, and that nothing is left over."""
        batch = self.cluster.batch()
        assert batch.status.phase == phase, (batch.status, self.cluster.shards)
        assert self.cluster.shards == {}

        counted: Counter[int] = Counter()
        done = failed = 0
        for number in range(batch.index):
            for entry in self.cluster.index[number]:
                counted.update(entry.ended)
                done, failed = done + entry.done, failed + entry.failed
                if entry.key:
                    assert self.workers.committed[entry.key] == entry.ended
                else:
                    assert set(entry.ended) <= set(self.poison)

        assert set(counted.values()) <= {1}, "an image was counted twice"
        assert RangeSet.of(counted) == batch.counted
        assert (done, failed) == (batch.counts.done, batch.counts.failed)
        if phase == "done":
            assert len(counted) == batch.counts.ended == self.images
