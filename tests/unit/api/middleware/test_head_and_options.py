"""Tests of HEAD and OPTIONS on every route, over a real socket."""

from typing import Any

import httpx
import pytest
from api_fakes import Cluster, FakeBucket, picture
from api_server import Connection
from fastapi import FastAPI
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.root_path import OWN_PATHS
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob

INLINE = {"description": "d", "alt": "a", "caption": "c", "describer": "metadata", "seconds": 1}
DONE = {"phase": "done", "result": {"describer": "metadata", "summary": "s", "inline": INLINE}}

STATUSES: dict[str, int] = {
    "/": 307,
    "/ui": 200,
    "/ui/": 307,
    "/ui/app.js": 200,
    "/ui/missing.js": 404,
    "/healthz": 200,
    "/readyz": 200,
    "/status/job-watched": 200,
    "/status/job-unwatched": 200,
    "/status/job-unknown": 404,
    "/result/job-done": 200,
    "/result/job-watched": 409,
    "/result/job-unknown": 404,
    "/batches/holiday": 200,
    "/batches/unknown": 404,
    "/batches/unknown/results": 404,
    "/describers": 200,
    "/inbox": 200,
    "/inbox/photo.png": 200,
    "/inbox/folder/missing.png": 404,
    "/inbox/": 200,
    "/jobs": 200,
    "/jobs?q=cat": 501,
    "/jobs/job-unknown/events": 404,
    "/events?lastEventId=none": 400,
    "/keys": 501,
    "/limits": 200,
    "/docs": 200,
    "/openapi.json": 200,
    "/problems": 200,
    "/problems/JobNotFound": 200,
    "/problems/Unknown": 404,
    "/static-offline-docs/swagger-ui.css": 200,
    "/static-offline-docs/missing.css": 404,
    "/submit": 405,
    "/usage": 200,
    "/session": 405,
    "/whoami": 200,
    "/nothing/here": 404,
}
"""Expected status of a GET request, for every route and for some paths that do not exist."""

READ_ONLY = [
    path
    for path, status in STATUSES.items()
    if status in {200, 409} and not path.startswith(("/inbox/", "/batches/"))
]


def body(name: str, **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": name, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"image": {"key": "images/1"}}, "status": status}


@pytest.fixture
def jobs(jobs: Jobs, bucket: FakeBucket, cluster: Cluster) -> Jobs:
    bucket.objects["inbox/photo.png"] = picture()
    watched, done = body("job-watched"), body("job-done", **DONE)
    jobs.cache.observe(WatchEvent("ADDED", [watched]))
    jobs.cache.observe(WatchEvent("ADDED", [done]))
    for known in (watched, body("job-unwatched"), done):
        cluster.jobs[known["metadata"]["name"]] = ImageJob.model_validate(known)
    cluster.batches["holiday"] = body("holiday") | {"spec": {"prefix": "inbox/holiday/"}}
    return jobs


@pytest.fixture
async def web(port: int) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


def test_every_route_is_tested(app: FastAPI) -> None:
    tested = {path.split("?")[0].split("/")[1] for path in STATUSES} - {"", "nothing"}
    documented = {path.split("/")[1] for path in app.openapi()["paths"]}
    assert tested == OWN_PATHS
    assert documented <= OWN_PATHS


def status_and_headers(response: httpx.Response) -> tuple[int, dict[str, str]]:
    """Return the response's status, and all its headers except the date."""
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return response.status_code, headers


@pytest.mark.parametrize("path", STATUSES)
async def test_head_response_equals_get_without_the_body(web: httpx.AsyncClient, path: str) -> None:
    get, head = await web.get(path), await web.head(path)
    assert get.status_code == STATUSES[path]
    assert status_and_headers(head) == status_and_headers(get)
    assert head.headers["content-length"] == str(len(get.content))
    assert head.content == b""


@pytest.mark.parametrize("path", ["/ui/app.js", "/status/job-watched", "/result/job-done", "/docs"])
async def test_no_body_follows_a_head_response(port: int, path: str) -> None:
    async with Connection.open(port) as connection:
        for method, head in (("HEAD", True), ("GET", False), ("HEAD", True)):
            await connection.send(f"{method} {path} HTTP/1.1\r\nHost: api\r\n\r\n".encode())
            assert (await connection.response(head=head)).status == 200


async def test_head_request_for_the_current_version_gets_304(web: httpx.AsyncClient) -> None:
    etag = (await web.head("/ui/app.js")).headers["etag"]
    assert (await web.head("/ui/app.js", headers={"If-None-Match": etag})).status_code == 304


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((path, "GET, HEAD, OPTIONS") for path in READ_ONLY),
        ("/inbox/photo.png", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/inbox/folder/missing.png", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/status/job-unknown", "GET, HEAD, OPTIONS"),
        ("/submit", "POST, OPTIONS"),
        ("/batches", "GET, HEAD, POST, OPTIONS"),
        ("/batches/holiday", "GET, HEAD, DELETE, OPTIONS"),
        ("/jobs/job-unknown", "GET, HEAD, DELETE, OPTIONS"),
        ("/jobs/export", "GET, HEAD, OPTIONS"),
        ("/jobs/retry", "POST, OPTIONS"),
    ],
)
async def test_options_response_lists_the_allowed_methods(
    web: httpx.AsyncClient, path: str, allowed: str
) -> None:
    response = await web.options(path)
    assert (response.status_code, response.headers["allow"], response.content) == (
        204,
        allowed,
        b"",
    )
    assert "content-length" not in response.headers


async def test_options_request_for_an_unknown_path_gets_404(web: httpx.AsyncClient) -> None:
    response = await web.options("/nothing/here")
    assert (response.status_code, response.json()["reason"]) == (404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/ui", "GET, HEAD, OPTIONS"),
        ("DELETE", "/status/job-watched", "GET, HEAD, OPTIONS"),
        ("PUT", "/submit", "POST, OPTIONS"),
        ("PUT", "/inbox/photo.png", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("POST", "/inbox", "GET, HEAD, OPTIONS"),
        ("DELETE", "/batches", "GET, HEAD, POST, OPTIONS"),
        ("PUT", "/batches/holiday", "GET, HEAD, DELETE, OPTIONS"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("POST", "/static-offline-docs/swagger-ui.css", "GET, HEAD, OPTIONS"),
    ],
)
async def test_unsupported_methods_get_405_with_the_allowed_methods(
    web: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await web.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert response.json()["reason"] == "MethodNotAllowed"
    assert response.json()["detail"].endswith(f"It supports: {allowed}.")
