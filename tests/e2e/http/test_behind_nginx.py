"""Tests of the API behind a real nginx with TLS, with and without a path prefix."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from nginx_site import ProxyRoute, Site, site
from playwright.async_api import async_playwright
from unit.api.api_fakes import Cluster, picture
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.trusted_proxies import TrustedProxies

PREFIX = "/apps/vision"
CONFIGURED = HttpSettings(root_path=PREFIX)
TRUSTING = HttpSettings(
    trusted_proxies=TrustedProxies(["127.0.0.0/8"]), cors_origins=("https://gallery.example.com",)
)

ROUTES = {
    "no prefix, no settings": ProxyRoute(HttpSettings()),
    "prefix kept and configured": ProxyRoute(CONFIGURED, PREFIX),
    "prefix removed and configured": ProxyRoute(CONFIGURED, PREFIX, strips_prefix=True),
    "prefix kept and sent in a header": ProxyRoute(TRUSTING, PREFIX, forwards_headers=True),
    "prefix removed and sent in a header": ProxyRoute(
        TRUSTING, PREFIX, strips_prefix=True, forwards_headers=True
    ),
}

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(params=ROUTES)
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(ROUTES[request.param], tmp_path, Cluster()) as served:
        yield served


@pytest.mark.parametrize(
    ("start", "end"),
    [("/", "/ui"), ("/ui/", "/ui"), ("/docs/", "/docs"), ("/describers/", "/describers")],
)
async def test_redirects_lead_to_reachable_urls(served: Site, start: str, end: str) -> None:
    answer = await served.client.get(served.root + start, follow_redirects=True)
    assert (answer.status_code, str(answer.url)) == (200, served.root + end)


async def test_image_is_submitted_and_its_status_is_found(served: Site) -> None:
    address = f"{served.root}/submit"
    answer = await served.client.post(address, files={"file": ("photo.png", picture())})
    assert answer.status_code == 202
    location = urljoin(address, answer.headers["location"])
    assert location == f"{served.root}/status/{answer.json()['job_id']}"
    for method in ("GET", "HEAD"):
        assert (await served.client.request(method, location)).status_code == 200


async def test_inbox_object_is_stored_listed_and_deleted(served: Site) -> None:
    address = f"{served.root}/inbox/holiday/photo.png"
    answer = await served.client.post(address, files={"file": ("photo.png", picture())})
    assert answer.status_code == 201
    assert urljoin(address, answer.headers["location"]) == address

    options = await served.client.options(address)
    assert options.headers["allow"] == "GET, HEAD, POST, DELETE, OPTIONS"
    (found,) = (await served.client.get(f"{served.root}/inbox")).json()["objects"]
    assert found["name"] == "holiday/photo.png"

    assert (await served.client.delete(address)).status_code == 204
    assert (await served.client.head(address)).status_code == 404


async def test_problem_instance_is_the_path_of_the_request(served: Site) -> None:
    answer = await served.client.get(f"{served.root}/status/job-unknown")
    assert answer.status_code == 404
    assert answer.url.path == answer.json()["instance"]


async def test_problem_links_to_the_page_of_its_reason(served: Site) -> None:
    problem = (await served.client.get(f"{served.root}/status/job-unknown")).json()
    page = urljoin(served.root, problem["help"])
    answer = await served.client.get(page, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "What to do" in answer.text


async def test_options_reach_the_api(served: Site) -> None:
    answer = await served.client.options(f"{served.root}/submit")
    assert (answer.status_code, answer.headers["allow"]) == (204, "POST, OPTIONS")


async def test_openapi_document_has_the_server_url(served: Site) -> None:
    document = (await served.client.get(f"{served.root}/openapi.json")).json()
    (server,) = document.get("servers", [{"url": ""}])
    assert urljoin(served.root, server["url"]).rstrip("/") == served.root


async def test_page_and_documentation_work_in_a_browser(served: Site) -> None:
    """Also check that the browser can load all resources of both pages."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = await browser.new_page(ignore_https_errors=True)
        missing: list[str] = []
        page.on(
            "response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None
        )

        await page.goto(f"{served.root}/")
        assert page.url == f"{served.root}/ui"
        await page.locator("#terminal-submit", has_text=f"{served.root}/submit").wait_for()
        await page.set_input_files(
            "#file", {"name": "a.png", "mimeType": "image/png", "buffer": picture()}
        )
        await page.locator(
            ".card .phase", has_text=re.compile("queued|waiting", re.IGNORECASE)
        ).wait_for()

        await page.goto(f"{served.root}/docs")
        await page.locator(".opblock", has_text="/submit").first.wait_for()
        await browser.close()

    assert missing == []


async def test_forged_forwarding_headers_have_no_effect(tmp_path: Path) -> None:
    """Nginx overwrites the X-Forwarded-… headers, and the API then ignores Forwarded."""
    async with site(ROUTES["prefix removed and sent in a header"], tmp_path, Cluster()) as served:
        forged = {
            "X-Forwarded-Prefix": "/evil",
            "X-Forwarded-Host": "evil.example",
            "Forwarded": "host=evil.example;proto=http",
        }
        answer = await served.client.get(f"{served.root}/", headers=forged)
        assert urljoin(str(answer.url), answer.headers["location"]) == f"{served.root}/ui"
        assert "evil" not in str(answer.headers)


async def test_cors_preflight_works_through_the_proxy(tmp_path: Path) -> None:
    async with site(ROUTES["prefix kept and sent in a header"], tmp_path, Cluster()) as served:
        preflight = {
            "Origin": "https://gallery.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "idempotency-key",
        }
        answer = await served.client.options(f"{served.root}/submit", headers=preflight)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://gallery.example.com"
