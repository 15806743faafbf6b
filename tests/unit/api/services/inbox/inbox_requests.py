"""Helpers that send requests to /inbox and read the responses."""

from typing import Any

import httpx
from api_fakes import picture
from fakes.s3 import S3

PNG, JPEG, GIF = picture(), picture("JPEG"), picture("GIF")
RAW = {"Content-Type": "application/octet-stream"}


def stored(s3: S3) -> dict[str, bytes]:
    return {key: found.data for key, found in s3.objects.items()}


def outcome(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("reason", "")


async def put(web: httpx.AsyncClient, name: str, data: bytes, query: str = "") -> httpx.Response:
    return await web.post(f"/inbox/{name}{query}", content=data, headers=RAW)


def imagejob(name: str, key: str, phase: str = "queued") -> dict[str, Any]:
    status = {"phase": phase, **({"attempts": 1} if phase != "queued" else {})}
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {"image": {"key": key}},
        "status": status,
    }


def imagebatch(name: str, prefix: str, phase: str = "processing") -> dict[str, Any]:
    metadata = {"name": name, "uid": name}
    return {"metadata": metadata, "spec": {"prefix": prefix}, "status": {"phase": phase}}
