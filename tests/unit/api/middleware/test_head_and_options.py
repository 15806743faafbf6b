"""HEAD and OPTIONS on every route, over a real socket."""

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

ANSWERED: dict[str, int] = {
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
    "/describers": 200,
    "/inbox": 200,
    "/inbox/photo.png": 200,
    "/inbox/folder/missing.png": 404,
    "/inbox/": 200,
    "/limits": 200,
    "/docs": 200,
    "/openapi.json": 200,
    "/static-offline-docs/swagger-ui.css": 200,
    "/static-offline-docs/missing.css": 404,
    "/submit": 405,
    "/nothing/here": 404,
}
"""What GET answers, on every route there is and on some that are not."""

READ_ONLY = [
    path
    for path, status in ANSWERED.items()
    if status in {200, 409} and not path.startswith("/inbox/")
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
    return jobs


@pytest.fixture
async def web(port: int) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


def test_every_route_is_tested(app: FastAPI) -> None:
    tried = {path.split("/")[1] for path in [*ANSWERED, "/metrics"]} - {"", "nothing"}
    assert tried == OWN_PATHS


def told(answer: httpx.Response) -> tuple[int, dict[str, str]]:
    """Return the status and the headers, but for the time."""
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, headers


@pytest.mark.parametrize("path", ANSWERED)
async def test_head_response_equals_get_without_the_body(web: httpx.AsyncClient, path: str) -> None:
    got, head = await web.get(path), await web.head(path)
    assert got.status_code == ANSWERED[path]
    assert told(head) == told(got)
    assert head.headers["content-length"] == str(len(got.content))
    assert head.content == b""


async def test_head_of_metrics_has_the_headers_of_get(web: httpx.AsyncClient) -> None:
    """They change with each request, the length of their text included."""
    got, head = await web.get("/metrics"), await web.head("/metrics")
    assert (head.status_code, head.headers.keys()) == (200, got.headers.keys())
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize("path", ["/ui/app.js", "/status/job-watched", "/result/job-done", "/docs"])
async def test_no_body_follows_a_head_response(port: int, path: str) -> None:
    async with Connection.open(port) as connection:
        for method, head in (("HEAD", True), ("GET", False), ("HEAD", True)):
            await connection.send(f"{method} {path} HTTP/1.1\r\nHost: api\r\n\r\n".encode())
            assert (await connection.answer(head=head)).status == 200


async def test_head_is_revalidated_like_get(web: httpx.AsyncClient) -> None:
    etag = (await web.head("/ui/app.js")).headers["etag"]
    assert (await web.head("/ui/app.js", headers={"If-None-Match": etag})).status_code == 304


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((path, "GET, HEAD, OPTIONS") for path in READ_ONLY),
        ("/inbox/photo.png", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/inbox/folder/missing.png", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/metrics", "GET, HEAD, OPTIONS"),
        ("/status/job-unknown", "GET, HEAD, OPTIONS"),
        ("/submit", "POST, OPTIONS"),
    ],
)
async def test_options_lists_the_methods(web: httpx.AsyncClient, path: str, allowed: str) -> None:
    answer = await web.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")
    assert "content-length" not in answer.headers


async def test_options_of_an_unknown_path_is_not_found(web: httpx.AsyncClient) -> None:
    answer = await web.options("/nothing/here")
    assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/ui", "GET, HEAD, OPTIONS"),
        ("DELETE", "/status/job-watched", "GET, HEAD, OPTIONS"),
        ("PUT", "/submit", "POST, OPTIONS"),
        ("PUT", "/inbox/photo.png", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("POST", "/inbox", "GET, HEAD, OPTIONS"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("POST", "/static-offline-docs/swagger-ui.css", "GET, HEAD, OPTIONS"),
    ],
)
async def test_unsupported_methods_get_405_with_allow(
    web: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await web.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["reason"] == "MethodNotAllowed"
