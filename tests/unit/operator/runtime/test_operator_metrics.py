"""Tests of the operator's metrics, as parsed by the Prometheus client library."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from metrics_lint import lint
from prometheus_client.parser import text_string_to_metric_families
from vision_node_contract.clients.bucket_errors import FailureCounts, StoreUnavailableError
from vision_node_contract.clients.kube import ConflictError, KubeError, UnavailableError
from vision_node_contract.metrics.registry import MetricsRegistry
from vision_node_contract.models.reasons import Reason
from vision_node_operator.decisions.actions import Retire
from vision_node_operator.runtime.clock import utcnow
from vision_node_operator.runtime.metrics.collector import operator_metrics
from vision_node_operator.runtime.reconciler import Reconciler
from vision_node_operator.settings import Settings

SETTINGS = Settings("ns", owner_name="describers", job_prefix="vn", max_imagejobs=500)
TEMPLATE = {"spec": {"containers": [{"name": "worker"}]}}
IMAGEJOBS = "/apis/vision-node.dev/v1alpha1/namespaces/ns/imagejobs"
DESCRIBER = {"metadata": {"name": "metadata", "resourceVersion": "1"}, "spec": {"maxWorkers": 1}}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def imagejob(version: int, name: str = "job-secret", **status: Any) -> dict[str, Any]:
    created = utcnow() - timedelta(seconds=90)
    return {
        "metadata": {
            "name": name,
            "uid": "uid-secret",
            "resourceVersion": str(version),
            "creationTimestamp": created.isoformat(),
            "labels": {"vision-node.dev/owner": "owner-secret"},
        },
        "spec": {
            "image": {"key": "images/secret", "fileName": "secret.png"},
            "describer": "metadata",
            "callbackURL": "https://secret.example.com",
        },
        "status": {"phase": "queued", **status},
    }


class FakeKube:
    """An API server without objects."""

    def __init__(self) -> None:
        self.last_activity: dict[str, float] = {}

    async def list_pages(self, *_: Any, **__: Any) -> AsyncIterator[tuple[list[Any], str]]:
        yield [], "1"


class FakeWriter:
    """A writer that fails with `error`, if it is set."""

    error: Exception | None = None

    async def perform(self, *_: Any) -> Any:
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return "jobs", None


class Operator:
    """A reconciler with fake clients, and its metrics."""

    def __init__(self) -> None:
        self.writer: Any = FakeWriter()
        self.kube: Any = FakeKube()
        self.store: Any = SimpleNamespace(failures=FailureCounts())
        nothing: Any = None
        self.reconciler = Reconciler(self.kube, SETTINGS, self.writer, nothing, TEMPLATE)
        self.metrics: MetricsRegistry = operator_metrics(
            self.reconciler, SETTINGS, self.kube, self.store
        )

    @property
    def text(self) -> str:
        return self.metrics.text().decode()

    def number(self, name: str, **labels: str) -> float | None:
        """Return the value of a sample; None if there is none."""
        samples: Samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }
        return samples.get((f"vision_node_{name}", tuple(sorted(labels.items()))))


@pytest.fixture
def operator() -> Operator:
    operator = Operator()
    operator.reconciler.observe("describers", "ADDED", DESCRIBER)
    return operator


def test_queue_and_limits_are_shown(operator: Operator) -> None:
    assert operator.number("queue_oldest_age_seconds", describer="metadata") == 0
    operator.reconciler.observe("imagejobs", "ADDED", imagejob(1))

    assert operator.number("queue_depth", describer="metadata") == 1
    age = operator.number("queue_oldest_age_seconds", describer="metadata")
    assert age is not None
    assert 90 <= age < 120
    assert operator.number("imagejobs", phase="queued") == 1
    assert operator.number("imagejobs_limit") == 500


def imagebatch(version: int, done: int, failed: int = 0, **status: Any) -> dict[str, Any]:
    counts = {"images": {"total": 50, "done": done, "failed": failed}}
    manifest = {"folder": "batches/secret/", "images": 50, "sha256": "0" * 64}
    return {
        "metadata": {"name": "b", "uid": "b-uid", "resourceVersion": str(version)},
        "spec": {"prefix": "inbox/secret/", "describer": "metadata"},
        "status": {"phase": "processing", "manifest": manifest, **counts, **status},
    }


def test_batches_are_shown(operator: Operator) -> None:
    """What was counted before the operator's start is not counted again."""
    waiting = {
        "type": "Waiting",
        "status": "True",
        "reason": "QuotaExhausted",
        "message": "secret",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    observe = operator.reconciler.observe
    observe("imagebatches", "ADDED", imagebatch(1, 10))
    observe("imagebatches", "MODIFIED", imagebatch(2, 30, 5, conditions=[waiting]))
    assert operator.number("imagebatches", phase="processing") == 1
    assert operator.number("batch_images_left", describer="metadata") == 15
    assert operator.number("batch_images_total", describer="metadata", outcome="done") == 20
    assert operator.number("batch_images_total", describer="metadata", outcome="failed") == 5
    labels = {"describer": "metadata", "reason": "QuotaExhausted"}
    assert operator.number("imagebatches_waiting", **labels) == 1
    assert "secret" not in operator.text

    observe("imagebatches", "MODIFIED", imagebatch(3, 45, 5, phase="done"))
    assert operator.number("imagebatches", phase="processing") == 0
    assert operator.number("imagebatches", phase="done") == 1
    assert operator.number("batch_images_left", describer="metadata") == 0
    assert operator.number("imagebatches_waiting", **labels) is None


def test_shards_are_imagejobs(operator: Operator) -> None:
    body = imagejob(1)
    images = {"batch": "b", "batchUID": "b-uid", "manifest": "batches/x/", "first": 0, "count": 8}
    body["spec"] = {"images": images, "describer": "metadata"}
    operator.reconciler.observe("imagejobs", "ADDED", body)
    assert operator.number("imagejobs", phase="queued") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"nextAttemptTime": (utcnow() + timedelta(hours=1)).isoformat()},
        {"cancel": True},
    ],
    ids=["waits", "cancelled"],
)
def test_job_that_waits_counts_toward_the_oldest_age(
    operator: Operator, changes: dict[str, Any]
) -> None:
    """During a provider's outage, all jobs may wait for their next attempt."""
    body = imagejob(1)
    body["spec" if "cancel" in changes else "status"].update(changes)
    operator.reconciler.observe("imagejobs", "ADDED", body)
    age = operator.number("queue_oldest_age_seconds", describer="metadata")
    assert age is not None
    assert age >= 90

    operator.reconciler.observe(
        "imagejobs", "MODIFIED", imagejob(2, phase="processing", worker="w")
    )
    assert operator.number("queue_oldest_age_seconds", describer="metadata") == 0


def test_described_job_is_counted(operator: Operator) -> None:
    labels = {"describer": "metadata", "outcome": "done", "reason": "Described"}
    assert operator.number("imagejobs_finished_total", **labels) == 0

    start = utcnow()
    operator.reconciler.observe("imagejobs", "ADDED", imagejob(1))
    times = {"startTime": start.isoformat(), "completionTime": utcnow().isoformat()}
    operator.reconciler.observe("imagejobs", "MODIFIED", imagejob(2, phase="done", **times))

    assert operator.number("imagejobs_finished_total", **labels) == 1
    for phase in ("queued", "processing"):
        name = "imagejob_phase_duration_seconds_count"
        assert operator.number(name, describer="metadata", phase=phase) == 1
    assert operator.number("imagejobs", phase="done") == 1


def test_states_without_workers_are_zero(operator: Operator) -> None:
    for state in ("starting", "idle", "busy", "cordoned", "silent", "ending"):
        assert operator.number("workers", describer="metadata", state=state) == 0, state


def test_deleted_describer_has_no_series(operator: Operator) -> None:
    assert 'describer="metadata"' in operator.text
    deleted = {"metadata": {**DESCRIBER["metadata"], "resourceVersion": "2"}}
    operator.reconciler.observe("describers", "DELETED", deleted)
    assert "describer=" not in operator.text


def test_storage_errors_are_counted_by_code(operator: Operator) -> None:
    assert operator.number("storage_errors_total", reason="StorageFull", code="") == 0
    error = StoreUnavailableError("m", Reason.STORAGE_FULL, "XMinioStorageFull")
    operator.store.failures.add(error)
    labels = {"reason": "StorageFull", "code": "XMinioStorageFull"}
    assert operator.number("storage_errors_total", **labels) == 1


KINDS = ("describers", "jobs", "pods", "leases", "imagejobs")


@pytest.mark.parametrize("kind", KINDS)
async def test_watch_is_fresh_after_a_list(operator: Operator, kind: Any) -> None:
    operator.reconciler.last_heard[kind] = utcnow() - timedelta(seconds=700)
    age = operator.number("watch_age_seconds", resource=kind)
    assert age is not None
    assert 700 <= age < 730

    await operator.reconciler.resync()
    age = operator.number("watch_age_seconds", resource=kind)
    assert age is not None
    assert age < 30


def test_watch_is_fresh_after_an_event_or_a_bookmark(operator: Operator) -> None:
    heard = operator.reconciler.last_heard
    assert operator.number("watch_age_seconds", resource="imagejobs") is None

    heard["imagejobs"] = utcnow() - timedelta(seconds=700)
    operator.kube.last_activity[IMAGEJOBS] = time.monotonic() - 50
    age = operator.number("watch_age_seconds", resource="imagejobs")
    assert age is not None
    assert 50 <= age < 80

    operator.reconciler.observe("imagejobs", "ADDED", imagejob(1))
    age = operator.number("watch_age_seconds", resource="imagejobs")
    assert age is not None
    assert age < 30


OUTCOMES: dict[str, Exception | None] = {
    "ok": None,
    "conflict": ConflictError(409, "Conflict", "m"),
    "refused": KubeError(403, "Forbidden", "m"),
    "unavailable": UnavailableError(0, "NoAnswer", "m"),
    "bug": ZeroDivisionError(),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_writes_are_counted_by_outcome(operator: Operator, outcome: str) -> None:
    operator.writer.error = OUTCOMES[outcome]
    executor = operator.reconciler.executor
    executor.start(Retire("vn-metadata-0"), utcnow())
    assert operator.number("writes_in_flight") == 1

    async with asyncio.timeout(20):
        while executor.in_flight:  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0)

    assert operator.number("writes_in_flight") == 0
    assert operator.number("writes_total", action="Retire", outcome=outcome) == 1


async def test_rounds_are_measured(operator: Operator) -> None:
    operator.reconciler._round()
    assert operator.number("round_duration_seconds_count") == 1
    age = operator.number("last_round_age_seconds")
    assert age is not None
    assert 0 <= age < 30


def test_further_gauges_can_be_added_and_may_be_absent(operator: Operator) -> None:
    value: list[float | None] = [None]
    operator.metrics.add_gauge("vision_node_extra", "An example.", lambda: value[0])
    assert operator.number("extra") is None

    value[0] = 1.0
    assert operator.number("extra") == 1


def test_metrics_are_named_as_prometheus_recommends(operator: Operator) -> None:
    operator.reconciler.observe("imagejobs", "ADDED", imagejob(1))
    operator.reconciler.observe("imagejobs", "MODIFIED", imagejob(2, phase="failed"))
    assert lint(operator.text) == []


def test_metrics_contain_no_ids_owners_names_or_urls(operator: Operator) -> None:
    operator.reconciler.observe("imagejobs", "ADDED", imagejob(1))
    error = {"reason": "Secret", "message": "secret", "retryable": False}
    failed = imagejob(2, phase="failed", error=error)
    operator.reconciler.observe("imagejobs", "MODIFIED", failed)
    operator.reconciler.observe("imagejobs", "ADDED", imagejob(3, "other-secret"))
    assert "secret" not in operator.text.lower()
