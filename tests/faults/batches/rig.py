"""Prepare ImageBatches: a provider that counts, its Describer, and the images in the inbox."""

import asyncio
import contextlib
import json
from pathlib import Path

import httpx
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    Kube,
    KubeError,
    UnavailableError,
)
from vision_node_contract.json_types import Json
from vision_node_contract.names import BATCH_KIND, BATCH_LABEL, DESCRIBER_KIND, GROUP, VERSION

from cluster.release import NAMESPACE
from faults.batches.load import PAID_DESCRIBER, Batch, Campaign
from faults.batches.observer import IMAGEBATCHES
from faults.batches.provider import PORT
from faults.fault_injection import PODS
from faults.load import GIVE_UP_SECONDS, IMAGEJOBS, RETRY_SECONDS
from faults.rig import DESCRIBERS, run_in_api

PROVIDER = "paid-provider"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
IDENTITY = f"/api/v1/namespaces/{NAMESPACE}/configmaps/vision-node-identity"
API_DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/vision-node-api"

WORKERS, CONCURRENCY = 2, 4
"""Number of workers that ask the provider, and of answers that each of them waits for."""

UPLOADS = 8
"""Number of simultaneous uploads to the inbox."""

PROVIDER_SECONDS = 60.0
"""How long the provider's pod may take to start."""

SHARDS_SECONDS = 15.0
"""How long after the end of its ImageBatch a shard may exist. It is deleted once it is counted."""

RESULTS_SECONDS = 60.0
"""How long reading the results of an ImageBatch may take."""

PAID: Json = {
    "apiVersion": f"{GROUP}/{VERSION}",
    "kind": DESCRIBER_KIND,
    "metadata": {"name": PAID_DESCRIBER},
    "spec": {
        "provider": "http",
        "options": {"url": f"http://{PROVIDER}:{PORT}/describe"},
        "maxWorkers": WORKERS,
        "concurrency": CONCURRENCY,
        "resources": {"requests": {"cpu": "50m"}},
    },
}
"""Manifest of a Describer that asks the provider."""


async def prepare(kube: Kube, http: httpx.AsyncClient, campaign: Campaign) -> None:
    """Start the provider, create its Describer, and fill the inbox."""
    await _start_provider(kube)
    with contextlib.suppress(AlreadyExistsError):
        await kube.request("POST", DESCRIBERS, body=PAID)

    await _upload(http, campaign)
    folder = await _inbox(kube)
    await run_in_api("put", {folder + name: it.hex() for name, it in campaign.manifests.items()})
    await _until_provider_runs(kube)


async def create(kube: Kube, batch: Batch) -> None:
    """Create an ImageBatch at its time. Repeat the request until it is acknowledged."""
    await asyncio.sleep(batch.at)
    body = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": BATCH_KIND,
        "metadata": {"name": batch.planned.name},
        "spec": batch.spec,
    }

    async with asyncio.timeout(GIVE_UP_SECONDS):
        while True:
            try:
                await kube.request("POST", IMAGEBATCHES, body=body)
            except AlreadyExistsError:
                return  # an earlier request created it, but the response was lost
            except UnavailableError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return


async def results(http: httpx.AsyncClient, campaign: Campaign) -> dict[str, list[Json] | str]:
    """Return the lines of each ImageBatch's results, or the text of the error response."""
    found: dict[str, list[Json] | str] = {}

    for batch in campaign.batches:
        name = batch.planned.name
        found[name] = await _results(http, name)

    return found


async def _results(http: httpx.AsyncClient, name: str) -> list[Json] | str:
    try:
        answer = await http.get(f"/batches/{name}/results", timeout=RESULTS_SECONDS)
    except httpx.TransportError as error:  # the API breaks off results that can't be read
        return repr(error)

    # Not splitlines(), because a description may contain, for example, U+2028.
    lines = answer.text.split("\n")
    is_found = answer.status_code == 200
    return [json.loads(line) for line in lines if line] if is_found else answer.text


async def shards_left(kube: Kube, uids: set[str]) -> list[str]:
    """Return the names of the ImageBatches' shards that still exist after SHARDS_SECONDS."""
    selector = [("labelSelector", f"{BATCH_LABEL} in ({','.join(sorted(uids))})")]
    left: list[str] = []

    for _ in range(round(SHARDS_SECONDS / RETRY_SECONDS)):
        items = (await kube.request("GET", IMAGEJOBS, query=selector))["items"]
        left = [it["metadata"]["name"] for it in items]
        if not left:
            break
        await asyncio.sleep(RETRY_SECONDS)

    return left


async def asked(kube: Kube) -> dict[str, int]:
    """Return the number of requests that the provider has received, by customId."""
    answer = await kube.request("GET", f"{SERVICES}/{PROVIDER}:{PORT}/proxy/asked")
    counts: dict[str, int] = answer["asked"]
    return counts


async def _upload(http: httpx.AsyncClient, campaign: Campaign) -> None:
    """Store all images through POST /inbox."""
    places = asyncio.Semaphore(UPLOADS)

    async def post(name: str, data: bytes) -> None:
        async with places:
            answer = await http.post(f"/inbox/{name}", files={"file": ("image", data)})
        assert answer.status_code in {200, 201}, f"{name}: {answer.status_code} {answer.text}"

    async with asyncio.TaskGroup() as tasks:
        for name, data in campaign.images.items():
            tasks.create_task(post(name, data))


async def _inbox(kube: Kube) -> str:
    """Return the release's folder in the inbox. POST /inbox stores images alone, no manifests."""
    identity = await kube.request("GET", IDENTITY)
    return f"inbox/{identity['data']['id']}/"


async def _start_provider(kube: Kube) -> None:
    """Create the provider's pod and service if they do not exist. It runs in the API's image."""
    deployment = await kube.request("GET", API_DEPLOYMENT)
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]

    for path, body in ((PODS, _pod(image)), (SERVICES, _service())):
        with contextlib.suppress(AlreadyExistsError):
            await kube.request("POST", path, body=body)


async def _until_provider_runs(kube: Kube) -> None:
    async with asyncio.timeout(PROVIDER_SECONDS):
        while True:
            try:
                await asked(kube)
            except KubeError:  # the pod does not listen yet
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return


def _pod(image: str) -> Json:
    source = Path(__file__).with_name("provider.py").read_text()
    restricted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "provider",
        "image": image,
        "command": ["python", "-c", source],
        "securityContext": restricted,
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    user = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": PROVIDER, "labels": {"app": PROVIDER}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": user,
            "containers": [container],
        },
    }


def _service() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": PROVIDER},
        "spec": {"selector": {"app": PROVIDER}, "ports": [{"port": PORT}]},
    }
