"""Makes the release fit for a run: workers that pictures can harm, and a filled inbox."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
from vision_node_contract.clients.kube import AlreadyExistsError, Kube
from vision_node_contract.names import (
    COMPONENT_LABEL,
    DESCRIBER_KIND,
    DESCRIBER_PLURAL,
    GROUP,
    VERSION,
    path_of,
)

from cluster.release import NAMESPACE
from faults.load import DESCRIBER, TIMEOUT_SECONDS, Picture, inbox_key
from faults.sabotage import LOOK_SECONDS, PODS

Json = dict[str, Any]

DESCRIBERS = path_of(DESCRIBER_PLURAL, NAMESPACE)

WORKERS, CONCURRENCY = 3, 4

KNOWN_SECONDS = 10.0

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
        # Little, to be soon exhausted.
        "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}},
    },
}
"""Workers that pictures can harm."""


async def have_faulty_describer(kube: Kube, http: httpx.AsyncClient) -> None:
    """Create it, and wait until the API knows it."""
    with contextlib.suppress(AlreadyExistsError):
        await kube.request("POST", DESCRIBERS, body=FAULTY)
    async with asyncio.timeout(KNOWN_SECONDS):
        while True:
            if DESCRIBER in (await http.get("/describers")).text:
                return
            await asyncio.sleep(LOOK_SECONDS)


async def workers_gone(kube: Kube, names: set[str], seconds: float) -> None:
    """Wait until none of these pods is left; TimeoutError when that takes longer."""
    selector = [("labelSelector", f"{COMPONENT_LABEL}=worker")]
    left = names
    async with asyncio.timeout(seconds):
        while left:
            await asyncio.sleep(LOOK_SECONDS)
            pods = (await kube.request("GET", PODS, query=selector))["items"]
            left = names & {pod["metadata"]["name"] for pod in pods}


async def fill_inbox(pictures: list[Picture]) -> None:
    """Put the pictures of ImageJobs that are made by hand where they name them, all at once."""
    await _in_api("put", {inbox_key(it): it.data.hex() for it in pictures if it.by_hand})


async def objects() -> frozenset[str]:
    """Return all keys in the bucket."""
    return frozenset(await _in_api("keys", {}))


IN_API = """
import asyncio, json, sys
from datetime import UTC, datetime
from vision_node_contract.clients.bucket import Bucket, BucketSettings
async def main():
    async with Bucket.open(BucketSettings.from_env()) as store:
        for key, data in json.load(sys.stdin).items():
            await store.put(key, bytes.fromhex(data), "image/jpeg")
        if "keys" in sys.argv:
            print(json.dumps(await store.list_older("", datetime.now(UTC))))
asyncio.run(main())
"""
"""Puts what it is given into the bucket; asked for `keys`, prints all there are."""


async def _in_api(question: str, files: dict[str, str]) -> list[str]:
    """Run IN_API where the bucket is reached already; return the keys that it prints."""
    where = ("kubectl", "--namespace", NAMESPACE, "exec", "-i", "deploy/vision-node-api", "--")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *where, "python", "-c", IN_API, question, stdin=pipe, stdout=pipe
    )
    out, _ = await process.communicate(json.dumps(files).encode())
    assert process.returncode == 0, f"kubectl exec ended with {process.returncode}"

    return json.loads(out or "[]")  # type: ignore[no-any-return]
