"""kopf handlers: they translate events into state and nothing else.

Only `on.event`, kopf's low-level kind: its high-level handlers would write annotations and
finalizers to every ImageJob, several writes a change. The price is that kopf retries nothing, so
the reconciler works from the whole state.
"""

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import kopf
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import WATCH_LOST_SECONDS, WATCH_SECONDS, Kube, NotFoundError
from vision_node_contract.listening import listen
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
from .chart_describers import Defaults
from .garbage_collector import Garbage
from .imagejob_watch import follow_imagejobs
from .inbox_expiry import InboxExpiry
from .reconciler import Reconciler, until_answered
from .writer import Writer

log = logging.getLogger(__name__)

# The component alone is a common label; others' workers are not ours.
WORKERS_ONLY: Mapping[str, Any] = {COMPONENT_LABEL: WORKER_COMPONENT, DESCRIBER_LABEL: kopf.PRESENT}


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Log in with the pod's own token; a developer's kubeconfig otherwise."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.event(GROUP, VERSION, DESCRIBER_PLURAL)
async def describer_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A Describer came, changed or went."""
    reconciler_of(memo).observe("describers", event["type"], dict(event["object"]))


@kopf.on.event("batch", "v1", "jobs", labels=WORKERS_ONLY)
async def describer_job_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A describer Job came, changed or went."""
    reconciler_of(memo).observe("jobs", event["type"], dict(event["object"]))


@kopf.on.event("", "v1", "pods", labels=WORKERS_ONLY)
async def pod_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A worker's pod came, changed or went."""
    reconciler_of(memo).observe("pods", event["type"], dict(event["object"]))


@kopf.on.event("coordination.k8s.io", "v1", "leases", labels=WORKERS_ONLY)
async def lease_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A worker said that it serves."""
    reconciler_of(memo).observe("leases", event["type"], dict(event["object"]))


def reconciler_of(memo: kopf.Memo) -> Reconciler:
    """Return the reconciler that `run` has put there."""
    reconciler: Reconciler = memo.reconciler
    return reconciler


class NothingCompared(kopf.DiffBaseStorage):
    """No handler of ours is told what changed, so kopf need not copy every object to find out."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return nothing to compare with."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """Return that nothing was remembered."""

    def store(self, **_: Any) -> None:
        """Remember nothing."""


class Backoffs:
    """Seconds between attempts at a watch. For ever: kopf's own grow to 21 s, and then it gives up."""

    def __iter__(self) -> Iterator[float]:
        """Yield waits with jitter, so short that an API server that is back is soon seen again."""
        while True:
            yield random.uniform(0.2, 2.0)  # noqa: S311 (jitter, not a secret)


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings, each with its reason."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # needs cluster-wide rights; CRDs don't come and go here
    settings.persistence.diffbase_storage = NothingCompared()
    settings.posting.enabled = False  # an Event for every log line would be a write for every image
    settings.networking.request_timeout = 10  # seconds, as for our own requests
    settings.networking.error_backoffs = Backoffs()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_LOST_SECONDS

    return settings


async def run(settings: Settings) -> None:
    """Run until SIGTERM or until something fails that only a new start mends."""
    async with Kube.connect("operator") as kube, Bucket.open(BucketSettings.from_env()) as store:
        path = f"/api/v1/namespaces/{settings.namespace}/configmaps/{settings.owner_name}"
        # From the API server: a mounted file may still be the one of before an upgrade.
        defaults = Defaults.of(await until_answered(lambda: kube.request("GET", path)))
        writer = Writer(kube, settings, defaults.owner)
        imagejobs = ImageJobClient(kube, settings.namespace)
        garbage = Garbage(store, imagejobs, kube)
        reconciler = Reconciler(kube, settings, writer, garbage, defaults.pod_template)
        unfinished = reconciler.state.backlog.jobs
        since = (
            await until_answered(lambda: installed_at(kube, settings))
            if settings.inbox_kept
            else None
        )
        expiry = InboxExpiry(store, imagejobs, kube, settings.inbox_kept, unfinished, since)
        await until_answered(lambda: writer.apply(defaults, settings.job_prefix))
        # Before kopf: it looks only once which kinds there are, and a new CRD is served a little
        # later.
        await until_answered(reconciler.resync)
        async with probe_server.serving(listen(probe_server.PORT), reconciler.check):
            await _serve(kube, settings, reconciler, expiry)


async def installed_at(kube: Kube, settings: Settings) -> datetime | None:
    """Return when the namespace got its release, or one that removes old images; None: it says so nowhere.

    Raises:
        KubeError: the API server did not answer well.
    """
    path = f"/api/v1/namespaces/{settings.namespace}/configmaps/{RELEASE_CONFIGMAP}"
    try:
        found = await kube.request("GET", path)
    except NotFoundError:
        log.warning(
            "ConfigMap %s is not there: nothing is removed from the inbox", RELEASE_CONFIGMAP
        )
        return None

    return datetime.fromisoformat(found["metadata"]["creationTimestamp"])


async def _serve(
    kube: Kube, settings: Settings, reconciler: Reconciler, expiry: InboxExpiry
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
        loops.append(tasks.create_task(follow_imagejobs(kube, settings.namespace, reconciler)))
        loops.append(tasks.create_task(expiry.run()))
        loops.append(tasks.create_task(hear_signals(ready, stop)))
        await operator  # until stopped, or until a watch fails for good
        stop()


async def hear_signals(ready: asyncio.Event, stop: Callable[[], None]) -> None:
    """Stop at once when told to: kopf takes seconds to end, in which the next operator begins to decide."""
    await ready.wait()  # kopf has put its own signal handlers in place by then
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
