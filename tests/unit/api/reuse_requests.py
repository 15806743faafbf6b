"""Helpers for tests of the option reuse: finished jobs, and submissions that want to reuse one."""

import hashlib
import json
from typing import Any

import httpx
from api_fakes import Cluster, picture
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob

PNG = picture()

RESULT: dict[str, Any] = {
    "description": "Image Description: A cat on a sofa.",
    "alt": "Photo: A cat on a sofa",
    "caption": "A cat on a sofa",
    "describer": "metadata",
    "seconds": 0.5,
}
LARGE = json.dumps(RESULT).encode()

DONE: dict[str, Any] = {
    "phase": "done",
    "attempts": 1,
    "completionTime": "2026-01-01T00:00:02Z",
    "result": {"describer": "metadata", "summary": "A cat", "inline": RESULT},
}
FAILED: dict[str, Any] = {
    "phase": "failed",
    "attempts": 1,
    "completionTime": "2026-01-01T00:00:02Z",
    "error": {"reason": "ContentRefused", "message": "it was refused", "retryable": False},
}


def stored_result(uid: str) -> dict[str, Any]:
    """Return the status of a job whose result is in the bucket."""
    stored = {
        "describer": "metadata",
        "summary": "A cat",
        "key": f"results/aaaabbbbcccc/{uid}/1",
        "sha256": hashlib.sha256(LARGE).hexdigest(),
        "sizeBytes": len(LARGE),
    }
    return {**DONE, "result": stored}


async def submitted(
    client: httpx.AsyncClient, fields: dict[str, str], image: bytes = PNG, **headers: str
) -> httpx.Response:
    """Submit an image with these options."""
    files = {"image": ("photo.jpg", image)}
    return await client.post("/submit", files=files, data=fields, headers=headers)


async def first_job(client: httpx.AsyncClient, **fields: str) -> str:
    """Submit the image without the option reuse, and return the id of its job."""
    job_id: str = (await submitted(client, fields)).json()["job_id"]
    return job_id


async def again(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    """Submit the same image with reuse=true."""
    return await submitted(client, {"reuse": "true", **fields})


def change(cluster: Cluster, jobs: Jobs, name: str, **parts: dict[str, Any]) -> dict[str, Any]:
    """Change parts of an ImageJob, let the watch report it, and return it.

    `metadata` and `spec` are merged, and `status` is replaced.
    """
    body = cluster.jobs[name].to_json()
    for part, values in parts.items():
        body[part] = values if part == "status" else {**body[part], **values}

    cluster.jobs[name] = ImageJob.model_validate(body)
    jobs.cache.observe(WatchEvent("MODIFIED", [body]))
    return body
