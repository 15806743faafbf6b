"""Requests that upload images, and what their answers say."""

from collections.abc import Mapping
from typing import Any

import httpx
from conftest import FAST_DESCRIBER
from vision_node_contract.json_types import Json

from uploads.archives import Files, tar_file, zip_file

MEDIA_TYPES = {"tar": "application/x-tar", "zip": "application/zip"}


def post_form(
    api: httpx.Client,
    files: Files,
    key: str | None = None,
    *,
    describer: str = FAST_DESCRIBER,
    **options: str,
) -> httpx.Response:
    """Send POST /batches with files in a form."""
    return api.post(
        "/batches",
        data={"describer": describer, **options},
        files=[("file", (name, data)) for name, data in files],
        headers=key_header(key),
    )


def post_archive(
    api: httpx.Client,
    kind: str,
    archive: bytes,
    key: str | None = None,
    *,
    describer: str = FAST_DESCRIBER,
    **options: str,
) -> httpx.Response:
    """Send POST /batches with a tar or zip file."""
    return api.post(
        "/batches",
        params={"describer": describer, **options},
        content=archive,
        headers={"Content-Type": MEDIA_TYPES[kind], **key_header(key)},
    )


def post_files(
    api: httpx.Client, kind: str, files: Files, key: str | None = None, **options: str
) -> httpx.Response:
    """Send POST /batches with files as a form, a tar or a zip file."""
    if kind == "form":
        return post_form(api, files, key, **options)

    archive = tar_file(files) if kind == "tar" else zip_file(files)
    return post_archive(api, kind, archive, key, **options)


def post_json(api: httpx.Client, body: Mapping[str, Any], key: str | None = None) -> httpx.Response:
    """Send POST /batches with a JSON object."""
    document = {"describer": FAST_DESCRIBER, **body}
    return api.post("/batches", json=document, headers=key_header(key))


def key_header(key: str | None) -> dict[str, str]:
    """Return the header for a request that may be repeated; no header without a key."""
    return {"Idempotency-Key": key} if key else {}


def accepted(answer: httpx.Response) -> Json:
    """Return what the answer says about the batch that was created."""
    assert answer.status_code == 202, answer.text
    found: Json = answer.json()
    return found


def refused_with(answer: httpx.Response, status: int) -> str:
    """Return the reason of a refusal with this status."""
    assert answer.status_code == status, answer.text
    return str(answer.json()["reason"])


def refusals(answer: Json) -> list[tuple[str, str]]:
    """Return names and reasons of the files that were refused, sorted."""
    files = answer["refused"]["files"]
    assert answer["refused"]["count"] == len(files)
    assert all(file["message"] for file in files)
    return sorted((file["file"], file["reason"]) for file in files)
