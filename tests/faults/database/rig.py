"""Prepare the history for a run, and read what the run has left in it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from vision_node_contract.clients.kube import Kube
from vision_node_contract.history.schema import schema_name
from vision_node_contract.json_types import Json
from vision_node_contract.names import BATCH_LABEL

from cluster.release import NAMESPACE
from faults.batches.rig import IDENTITY
from faults.database import statements
from faults.database.archive import CATCH_UP_SECONDS, finished, unarchived
from faults.database.faults import ARCHIVER
from faults.database.psql import Psql
from faults.history import Submit
from faults.load import IMAGEJOBS
from faults.observer import Observer

MAX_FINISHED = 100
"""The archiver's limit of finished ImageJobs in etcd, so that most of a run's are evicted."""

EVICT_FLOOR_SECONDS = 20
"""Minimum time from the end of an ImageJob to its eviction. It is longer than the load needs to
repeat a submission whose response was lost."""

SETTINGS = {
    "MAX_FINISHED_IMAGEJOBS": str(MAX_FINISHED),
    "EVICT_FLOOR_SECONDS": str(EVICT_FLOOR_SECONDS),
}
"""The archiver's environment variables during a run."""

DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/vision-node-archiver"

EVICTION_SECONDS = 120.0
"""How long the archiver may take to evict what is above the limit. It leaves those alone for a
minute that an archiver was about to evict when it was killed."""

POLL_SECONDS = 1.0
"""Interval between two looks into PostgreSQL."""


async def connect(kube: Kube) -> Psql:
    """Return a client for the release's schema."""
    identity = await kube.request("GET", IDENTITY)
    return Psql(schema_name(identity["data"]["id"]))


@asynccontextmanager
async def evicting_early(kube: Kube) -> AsyncIterator[None]:
    """Make the archiver evict ImageJobs soon while the block runs."""
    deployment = await kube.request("GET", DEPLOYMENT)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    before = {it["name"]: it.get("value", "") for it in container["env"]}
    # kubectl removes a variable whose name ends with a minus sign.
    undo = [f"{it}={before[it]}" if it in before else f"{it}-" for it in SETTINGS]

    await _set_env([f"{name}={value}" for name, value in SETTINGS.items()])
    try:
        yield
    finally:
        await _set_env(undo)


async def _set_env(settings: list[str]) -> None:
    for command in (
        ("set", "env", ARCHIVER, *settings),
        ("rollout", "status", ARCHIVER, "--timeout=90s"),
    ):
        process = await asyncio.create_subprocess_exec(
            "kubectl", "--namespace", NAMESPACE, *command, stdout=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0, f"kubectl {' '.join(command)} failed"


async def archived_uids(psql: Psql) -> set[str]:
    """Return the uids of all archived ImageJobs."""
    return set((await psql.insist(statements.READ_ARCHIVED_UIDS)).split())


async def rows(psql: Psql) -> list[Json]:
    """Return all rows of single images, joined with those of their jobs."""
    found: list[Json] = json.loads(await psql.insist(statements.READ_ROWS))
    return found


async def batch_rows(psql: Psql) -> dict[str, int]:
    """Return the number of archived images by ImageBatch."""
    found: dict[str, int] = json.loads(await psql.insist(statements.READ_BATCH_ROWS))
    return found


async def forget_evicted(psql: Psql) -> None:
    """Forget what an earlier run in this cluster has noted."""
    await psql.insist(statements.DROP_EVICTED)


async def evicted_before_restore(psql: Psql) -> frozenset[str]:
    """Return the uids of the jobs that only PostgreSQL had when it was restored."""
    return frozenset((await psql.insist(statements.READ_EVICTED)).split())


async def seconds_to_archive(
    psql: Psql, observer: Observer, last_fault: float, copied: frozenset[str]
) -> float:
    """Wait until archiving has caught up; return the seconds from the last fault until then.

    The result is infinite if it has not caught up long after the limit.
    """
    lost = await evicted_before_restore(psql) - copied
    deadline = last_fault + 2 * CATCH_UP_SECONDS

    while time.monotonic() < deadline:
        known = await archived_uids(psql) | lost
        if not unarchived(observer.observations, known, time.monotonic()):
            return time.monotonic() - last_fault

        await asyncio.sleep(POLL_SECONDS)

    return float("inf")


async def wait_for_batch_rows(psql: Psql, images: dict[str, int], seconds: float) -> dict[str, int]:
    """Wait until all images of these ImageBatches are archived, and return their numbers."""
    deadline = time.monotonic() + seconds

    while True:
        found = await batch_rows(psql)
        counts = {name: found.get(name, 0) for name in images}
        if counts == images or time.monotonic() > deadline:
            return counts

        await asyncio.sleep(POLL_SECONDS)


async def wait_for_evictions(kube: Kube) -> int:
    """Wait until few finished ImageJobs are in etcd, and return how many there are."""
    deadline = time.monotonic() + EVICTION_SECONDS

    while True:
        count = finished(await _singles(kube))
        if count <= MAX_FINISHED or time.monotonic() > deadline:
            return count

        await asyncio.sleep(POLL_SECONDS)


async def live(kube: Kube) -> dict[str, str]:
    """Return the name of each ImageJob in etcd by uid."""
    found = await _singles(kube)
    return {body["metadata"]["uid"]: body["metadata"]["name"] for body in found}


async def _singles(kube: Kube) -> list[Json]:
    query = [("labelSelector", f"!{BATCH_LABEL}")]
    found: list[Json] = (await kube.request("GET", IMAGEJOBS, query=query))["items"]
    return found


async def statuses(http: httpx.AsyncClient, submits: list[Submit]) -> dict[str, Json | str]:
    """Return the status of each ImageJob, or the text of the error response."""
    found: dict[str, Json | str] = {}

    for submit in submits:
        answer = await http.get(f"/status/{submit.job}")
        found[submit.job] = answer.json() if answer.status_code == 200 else answer.text

    return found
