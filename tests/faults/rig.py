"""Makes the release fit for a run: workers that pictures can harm, and a filled inbox."""

import asyncio
import json
from pathlib import Path
from typing import Any

from vision_node_contract.kube import Kube
from vision_node_contract.names import COMPONENT_LABEL

from cluster.release import NAMESPACE
from faults.load import Picture, inbox_key
from faults.sabotage import LOOK_SECONDS, PODS

Json = dict[str, Any]

POOLS = f"/api/v1/namespaces/{NAMESPACE}/configmaps/vision-node-describers"

MEMORY = "512Mi"
"""Of a worker: soon exhausted."""

WORKERS, CONCURRENCY = 3, 4


async def use_faulty_describer(kube: Kube) -> None:
    """Have workers run the tests' describer, and the operator know it."""
    pools = json.loads((await kube.request("GET", POOLS))["data"]["pools.json"])
    pool = pools["metadata"]
    pool["maxWorkers"], pool["concurrency"] = WORKERS, CONCURRENCY
    container = pool["podTemplate"]["spec"]["containers"][0]
    container["command"] = ["python", "-c", Path(__file__).with_name("faulty.py").read_text()]
    container["resources"]["limits"]["memory"] = MEMORY
    await kube.request("PATCH", POOLS, body={"data": {"pools.json": json.dumps(pools)}})
    selector = [("labelSelector", f"{COMPONENT_LABEL}=operator")]
    for pod in (await kube.request("GET", PODS, query=selector))["items"]:
        await kube.request("DELETE", f"{PODS}/{pod['metadata']['name']}", body={})


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
from vision_node_contract.store import Store, StoreSettings
async def main():
    async with Store.open(StoreSettings.from_env()) as store:
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
