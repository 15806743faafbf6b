"""Tests that all links and redirects of the API stay under a proxy's path prefix."""

from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from api_fakes import picture
from fastapi import FastAPI
from starlette.types import ASGIApp
from vision_node_api.middleware.redirects import relative_location
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.trusted_proxies import TrustedProxies
from vision_node_contract.clients.kube import WatchEvent

PROXY, CLIENT = "10.1.2.3", "192.0.2.9"


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("http://api/ui", "/ui"),
        ("http://api/ui?a=b", "/ui?a=b"),
        ("https://api/ui", "/ui"),
        ("/ui", "/ui"),
        ("https://elsewhere.example/ui", "https://elsewhere.example/ui"),
        ("http://api//evil.example", "http://api//evil.example"),
        ("http://api/\\evil.example", "http://api/\\evil.example"),
        ("http://api", "http://api"),
    ],
)
def test_host_is_removed_from_redirects_to_this_server(location: str, sent: str) -> None:
    scope = {"type": "http", "path": "/ui/", "scheme": "http", "headers": [(b"host", b"api")]}
    assert relative_location(location, scope) == sent


STRIPPED, KEPT = "prefix removed,", "prefix kept,"
SETTING, HEADER = "root path from the settings", "root path from a header"

PROXIES = [(STRIPPED, SETTING), (KEPT, SETTING), (STRIPPED, HEADER), (KEPT, HEADER)]
"""What a proxy does with the path prefix, and where the API finds its root path."""


class Site:
    """A client of the API, which a TLS-terminating proxy serves under /apps/vision."""

    root = "https://example.com/apps/vision"

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._path = path
        transport = httpx.ASGITransport(app, client=(PROXY, 1))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://pod:8000")

    async def send(self, method: str, address: str, **kwargs: Any) -> httpx.Response:
        """Send the API the request that the proxy would send for this URL."""
        path = address.removeprefix("https://example.com")
        if self._path == STRIPPED:
            path = path.removeprefix("/apps/vision") or "/"
        return await self.client.request(method, path, **kwargs)

    def target(self, address: str, response: httpx.Response) -> str:
        """Return the absolute URL of the response's Location, as a client would resolve it."""
        return urljoin(address, response.headers["location"])


@pytest.fixture(params=PROXIES, ids=" ".join)
def site(request: pytest.FixtureRequest, app: FastAPI) -> Site:
    path, source = request.param
    root_path = "/apps/vision" if source == SETTING else ""
    trusted = TrustedProxies([] if source == SETTING else [PROXY])
    settings = HttpSettings(root_path=root_path, trusted_proxies=trusted)
    site = Site(add_middleware(app, settings, app.state.metrics), path)

    if source == HEADER:
        forwarded = {
            "Proto": "https",
            "Host": "example.com",
            "For": CLIENT,
            "Prefix": "/apps/vision",
        }
        site.client.headers.update(
            {f"X-Forwarded-{name}": value for name, value in forwarded.items()}
        )

    return site


@pytest.mark.parametrize(
    ("start", "end"),
    [("/", "/ui"), ("/ui/", "/ui"), ("/describers/?a=b", "/describers?a=b"), ("/docs/", "/docs")],
)
async def test_redirects_stay_under_the_root_path(site: Site, start: str, end: str) -> None:
    address = site.root + start
    response = await site.send("GET", address)
    assert response.status_code == 307
    assert response.headers["location"] == f"/apps/vision{end}"
    assert site.target(address, response) == site.root + end


async def test_root_path_itself_redirects_to_the_page(site: Site) -> None:
    """Two redirects may be necessary, because the first one may only add the missing slash."""
    address = site.root
    for _ in range(2):
        response = await site.send("GET", address)
        if response.status_code == 200:
            break
        address = site.target(address, response)
    assert address == f"{site.root}/ui"


async def test_location_of_a_submitted_job_is_under_the_root_path(site: Site, jobs: Jobs) -> None:
    address = f"{site.root}/submit"
    response = await site.send("POST", address, files={"file": ("photo.png", picture())})
    location = site.target(address, response)
    assert location == f"{site.root}/status/{response.json()['job_id']}"
    assert (await site.send("GET", location)).json()["status"] == "queued"


async def test_status_of_cached_jobs_is_served_under_the_root_path(site: Site, jobs: Jobs) -> None:
    body = {"metadata": {"name": "job-a", "uid": "u"}, "spec": {"image": {"key": "images/a"}}}
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    for method in ("GET", "HEAD"):
        response = await site.send(method, f"{site.root}/status/job-a")
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")


async def test_problem_instance_includes_the_root_path(site: Site) -> None:
    response = await site.send("GET", f"{site.root}/status/job-b")
    assert response.json()["instance"] == "/apps/vision/status/job-b"


async def test_documentation_links_stay_under_the_root_path(site: Site) -> None:
    page = (await site.send("GET", f"{site.root}/docs")).text
    parts = [word for word in page.split('"') if word.endswith((".js", ".css", ".svg"))]
    assert len(parts) == 3

    for part in parts:
        address = urljoin(f"{site.root}/docs", part)
        assert address.startswith(site.root)
        assert (await site.send("GET", address)).status_code == 200

    assert "'/apps/vision/openapi.json'" in page

    document = (await site.send("GET", f"{site.root}/openapi.json")).json()
    assert document["servers"] == [{"url": "/apps/vision"}]


async def test_page_links_stay_under_the_root_path(site: Site) -> None:
    page = (await site.send("GET", f"{site.root}/ui")).text
    parts = {word for word in page.split('"') if word.startswith("ui/")}
    assert len(parts) > 5
    for part in parts:
        address = urljoin(f"{site.root}/ui", part)
        assert (await site.send("GET", address)).status_code == 200


async def test_probes_work_without_the_root_path(app: FastAPI) -> None:
    served = add_middleware(app, HttpSettings(root_path="/vision"), app.state.metrics)
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.9:8000") as client:
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path)).status_code == 200


async def test_openapi_document_has_the_root_path_of_its_request(app: FastAPI) -> None:
    trusted = TrustedProxies([PROXY])
    site = Site(add_middleware(app, HttpSettings(trusted_proxies=trusted), app.state.metrics), KEPT)
    for prefix in ("/a", "/b"):
        headers = {"X-Forwarded-Prefix": prefix}
        document = (await site.client.get("/openapi.json", headers=headers)).json()
        assert document["servers"] == [{"url": prefix}]
    assert "servers" not in (await site.client.get("/openapi.json")).json()


async def test_forwarded_prefix_is_ignored_without_trusted_proxies(
    client: httpx.AsyncClient,
) -> None:
    headers = {"X-Forwarded-Prefix": "/vision", "X-Forwarded-Proto": "https"}
    assert (await client.get("/vision/ui", headers=headers)).status_code == 404
    response = await client.get("/", headers=headers)
    assert response.headers["location"] == "/ui"
