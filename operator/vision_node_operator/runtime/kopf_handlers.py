"""Start the operator, and pass events from kopf to the reconciler.

The handlers only pass on events. They are low-level `on.event` handlers, because kopf's high-level
handlers would write annotations and finalizers to every object, with several writes per change.
kopf does not retry low-level handlers, so the reconciler always decides from the whole state.
"""

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import kopf
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import WATCH_LOST_SECONDS, WATCH_SECONDS, Kube, NotFoundError
from vision_node_contract.listening import listen
from vision_node_contract.metrics import server as metrics_server
from vision_node_contract.names import (
    COMPONENT_LABEL,
    DESCRIBER_LABEL,
    DESCRIBER_PLURAL,
    GROUP,
    RELEASE_CONFIGMAP,
    VERSION,
    WORKER_COMPONENT,
)

from ..settings import Settings
from . import probe_server
from .batches.batch_watch import watch_imagebatches
from .chart_describers import Defaults
from .freshness import Heartbeat
from .garbage_collector import GarbageCollector
from .imagejob_watch import watch_imagejobs
from .inbox_expiry import InboxExpiry, Retention
from .metrics.collector import operator_metrics
from .reconciler import Reconciler, until_answered
from .storage_ownership import StorageOwnership
from .writer import Writer

log = logging.getLogger(__name__)

# The component label alone is not enough, because other products' workers may have it too.
WORKERS_ONLY: Mapping[str, Any] = {COMPONENT_LABEL: WORKER_COMPONENT, DESCRIBER_LABEL: kopf.PRESENT}


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Log in with the pod's service-account token, or with the kubeconfig if there is no token."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.event(GROUP, VERSION, DESCRIBER_PLURAL)
async def describer_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Report to the reconciler that a Describer was created, changed or deleted."""
    reconciler_of(memo).observe("describers", event["type"], dict(event["object"]))


@kopf.on.event("batch", "v1", "jobs", labels=WORKERS_ONLY)
async def describer_job_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Report to the reconciler that a describer Job was created, changed or deleted."""
    reconciler_of(memo).observe("jobs", event["type"], dict(event["object"]))


@kopf.on.event("", "v1", "pods", labels=WORKERS_ONLY)
async def pod_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Report to the reconciler that a worker's pod was created, changed or deleted."""
    reconciler_of(memo).observe("pods", event["type"], dict(event["object"]))


@kopf.on.event("coordination.k8s.io", "v1", "leases", labels=WORKERS_ONLY)
async def lease_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """Report to the reconciler that a worker created, renewed or deleted its Lease."""
    reconciler_of(memo).observe("leases", event["type"], dict(event["object"]))


def reconciler_of(memo: kopf.Memo) -> Reconciler:
    """Return the reconciler from kopf's memo, where _serve() put it."""
    reconciler: Reconciler = memo.reconciler
    return reconciler


class NoDiffStorage(kopf.DiffBaseStorage):
    """Turns off kopf's diffs: no handler here uses them, and kopf would copy every object."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return an empty object to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """Return None, because nothing is stored."""

    def store(self, **_: Any) -> None:
        """Store nothing."""


class WatchBackoffs:
    """An endless series of pauses between attempts to watch, in seconds.

    By default, kopf gives up after a series of pauses that grow to 21 s.
    """

    def __iter__(self) -> Iterator[float]:
        """Yield short pauses with jitter, so that watches resume soon after an outage."""
        while True:
            yield random.uniform(0.2, 2.0)  # noqa: S311 (jitter, not a secret)


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings."""
    settings = kopf.OperatorSettings()
    # Scanning for CRDs would need cluster-wide permissions. It is not necessary, because the CRDs
    # don't change at runtime.
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDiffStorage()
    settings.posting.enabled = False  # otherwise, kopf would write Events for its log lines
    settings.networking.request_timeout = 10  # seconds, as for the operator's own requests
    settings.networking.error_backoffs = WatchBackoffs()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_LOST_SECONDS

    return settings


async def run(settings: Settings) -> None:
    """Run until SIGTERM, or until an error occurs that only a restart can fix."""
    heartbeat = Heartbeat()
    async with (
        Kube.connect("operator") as kube,
        Bucket.open(BucketSettings.from_env()) as store,
        # The probes are answered from the start, which may take long: it waits for the API server.
        probe_server.serving(listen(probe_server.PORT), heartbeat.check),
    ):
        path = f"/api/v1/namespaces/{settings.namespace}/configmaps/{settings.owner_name}"
        # The ConfigMap is read from the API server, because after an upgrade a mounted file may
        # still have the old contents.
        found = await until_answered(lambda: kube.request("GET", path), heartbeat)
        defaults = Defaults.of(found)
        writer = Writer(kube, settings, defaults.owner, store)
        imagejobs = ImageJobClient(kube, settings.namespace)
        ownership = StorageOwnership(store, kube, settings)
        garbage = None
        if not settings.archiver_deletes:
            garbage = GarbageCollector(store, imagejobs, kube, ownership)
        template = defaults.pod_template
        reconciler = Reconciler(kube, settings, writer, garbage, template, heartbeat)
        retention = await _inbox_retention(kube, settings, heartbeat)
        unfinished, batches = reconciler.state.job_queue.unfinished, reconciler.state.batches
        expiry = InboxExpiry(
            store, imagejobs, kube, ownership, retention, unfinished, batches.all_batches
        )

        await until_answered(
            lambda: writer.apply(defaults, settings.job_prefix, heartbeat.beat), heartbeat
        )
        # The first resync must succeed before kopf starts. kopf checks only once which kinds exist,
        # and the API server takes a moment to serve a new CRD.
        await until_answered(reconciler.resync, heartbeat)
        metrics = operator_metrics(reconciler, settings, kube, store)
        metrics.add_gauge(
            "vision_node_storage_ours",
            "Whether the release's folders in the bucket belong to this release (1) or not (0).",
            lambda: ownership.is_ours,
        )
        metrics_sockets = listen(metrics_server.PORT, metrics_server.ADDRESS_VARIABLE)
        async with metrics_server.serving(metrics_sockets, metrics.text):
            await _serve(kube, settings, reconciler, (ownership.run, expiry.run))


async def _inbox_retention(
    kube: Kube, settings: Settings, heartbeat: Heartbeat
) -> Retention | None:
    if not settings.inbox_kept:
        return None

    since = await until_answered(lambda: installed_at(kube, settings), heartbeat)
    return Retention(settings.inbox_kept, since) if since else None


async def installed_at(kube: Kube, settings: Settings) -> datetime | None:
    """Return when a release that deletes old images was first installed; None if that is unknown.

    Raises:
        KubeError: The API server is unavailable or refused the request.
    """
    path = f"/api/v1/namespaces/{settings.namespace}/configmaps/{RELEASE_CONFIGMAP}"
    try:
        found = await kube.request("GET", path)
    except NotFoundError:
        log.warning(
            "ConfigMap %s does not exist: nothing is deleted from the inbox", RELEASE_CONFIGMAP
        )
        return None

    return datetime.fromisoformat(found["metadata"]["creationTimestamp"])


async def _serve(
    kube: Kube,
    settings: Settings,
    reconciler: Reconciler,
    others: Sequence[Callable[[], Coroutine[Any, Any, None]]],
) -> None:
    loops: list[asyncio.Task[None]] = []
    ready, stopping = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        for loop in loops:
            loop.cancel()
        stopping.set()

    operator = kopf.operator(
        registry=kopf.get_default_registry(),
        settings=kopf_settings(),
        memo=kopf.Memo(reconciler=reconciler),
        ready_flag=ready,
        stop_flag=stopping,
        standalone=True,
        namespaces=[settings.namespace],
    )

    async with asyncio.TaskGroup() as tasks:
        loops.append(tasks.create_task(reconciler.run()))
        loops.append(tasks.create_task(watch_imagejobs(kube, settings.namespace, reconciler)))
        if settings.has_imagebatches:
            watch = watch_imagebatches(kube, settings.namespace, reconciler)
            loops.append(tasks.create_task(watch))
        loops.extend(tasks.create_task(run()) for run in others)
        loops.append(tasks.create_task(handle_signals(ready, stop)))
        await operator  # until it is stopped, or a watch fails permanently
        stop()


async def handle_signals(ready: asyncio.Event, stop: Callable[[], None]) -> None:
    """Stop immediately on SIGTERM or SIGINT.

    kopf takes seconds to stop, and by then the next operator may already be making decisions.
    """
    await ready.wait()  # now kopf has installed its own signal handlers, which are replaced below
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
