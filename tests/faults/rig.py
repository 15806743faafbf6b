"""Prepare the release for a run: create workers that images can harm, and fill the inbox."""

import asyncio
import contextlib
import json
from pathlib import Path

import httpx
from vision_node_contract.clients.kube import AlreadyExistsError, Kube
from vision_node_contract.json_types import Json
from vision_node_contract.names import (
    COMPONENT_LABEL,
    DESCRIBER_KIND,
    DESCRIBER_PLURAL,
    GROUP,
    VERSION,
    path_of,
)

from cluster.release import NAMESPACE
from faults.fault_injection import PODS, POLL_SECONDS
from faults.load import DESCRIBER, TIMEOUT_SECONDS, Picture, inbox_key

DESCRIBERS = path_of(DESCRIBER_PLURAL, NAMESPACE)

WORKERS, CONCURRENCY = 3, 4

KNOWN_SECONDS = 10.0
"""How long to wait until the API lists a new Describer."""

FAULTY: Json = {
    "apiVersion": f"{GROUP}/{VERSION}",
    "kind": DESCRIBER_KIND,
    "metadata": {"name": DESCRIBER},
    "spec": {
        "provider": "metadata",
        "command": ["python", "-c", Path(__file__).with_name("faulty.py").read_text()],
        "maxWorkers": WORKERS,
        "concurrency": CONCURRENCY,
        "timeoutSeconds": TIMEOUT_SECONDS,
        # The limit is small, so that an image can exhaust it quickly.
        "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}},
    },
}
"""Manifest of a Describer whose workers can be harmed by images."""


async def ensure_faulty_describer(kube: Kube, http: httpx.AsyncClient) -> None:
    """Create the faulty Describer if it does not exist, and wait until the API lists it."""
    with contextlib.suppress(AlreadyExistsError):
        await kube.request("POST", DESCRIBERS, body=FAULTY)

    async with asyncio.timeout(KNOWN_SECONDS):
        while True:
            if DESCRIBER in (await http.get("/describers")).text:
                return
            await asyncio.sleep(POLL_SECONDS)


async def wait_until_workers_end(kube: Kube, names: set[str], seconds: float) -> None:
    """Wait until all worker pods with these names are gone.

    Raises:
        TimeoutError: some of them still exist after `seconds`.
    """
    selector = [("labelSelector", f"{COMPONENT_LABEL}=worker")]
    left = names

    async with asyncio.timeout(seconds):
        while left:
            await asyncio.sleep(POLL_SECONDS)

            pods = (await kube.request("GET", PODS, query=selector))["items"]
            left = names & {pod["metadata"]["name"] for pod in pods}


async def fill_inbox(pictures: list[Picture]) -> None:
    """Store the images of all ImageJobs that will be created directly."""
    await run_in_api("put", {inbox_key(it): it.data.hex() for it in pictures if it.direct})


async def objects() -> frozenset[str]:
    """Return the keys of all objects in the bucket."""
    return frozenset(await run_in_api("keys", {}))


IN_API = """
import asyncio, json, sys
from vision_node_contract.clients.bucket import Bucket, BucketSettings
async def main():
    async with Bucket.open(BucketSettings.from_env()) as bucket:
        for key, data in json.load(sys.stdin).items():
            await bucket.put(key, bytes.fromhex(data), "image/jpeg")
        if "keys" in sys.argv:
            pages = [page async for page in bucket.list_all("")]
            print(json.dumps([it.key for page in pages for it in page]))
asyncio.run(main())
"""
"""Program that stores the objects from its input in the bucket.

With the argument `keys`, it also prints the keys of all objects in the bucket.
"""


async def run_in_api(mode: str, files: dict[str, str]) -> list[str]:
    """Run IN_API in a pod of the API, which can reach the bucket. Return the printed keys."""
    kubectl = ("kubectl", "--namespace", NAMESPACE, "exec", "-i", "deploy/vision-node-api", "--")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *kubectl, "python", "-c", IN_API, mode, stdin=pipe, stdout=pipe
    )

    out, _ = await process.communicate(json.dumps(files).encode())
    assert process.returncode == 0, f"kubectl exec ended with {process.returncode}"

    return json.loads(out or "[]")  # type: ignore[no-any-return]
