"""The API behind a real nginx, by TLS and below a path; it needs no cluster."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from behind import Site, Way, site
from playwright.async_api import async_playwright
from unit.api.api_fakes import Cluster, picture
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.proxies import TrustedProxies

PREFIX = "/apps/vision"
BY_VALUE = HttpSettings(root_path=PREFIX)
TRUSTING = HttpSettings(
    trusted_proxies=TrustedProxies(["127.0.0.0/8"]), cors_origins=("https://gallery.example.com",)
)

WAYS = {
    "at the root, nothing said or configured": Way(HttpSettings()),
    "prefix kept, by value": Way(BY_VALUE, PREFIX),
    "prefix removed, by value": Way(BY_VALUE, PREFIX, is_removed=True),
    "prefix kept, by header": Way(TRUSTING, PREFIX, tells=True),
    "prefix removed, by header": Way(TRUSTING, PREFIX, is_removed=True, tells=True),
}

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(params=WAYS)
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(WAYS[request.param], tmp_path, Cluster()) as served:
        yield served


@pytest.mark.parametrize(
    ("start", "end"),
    [("/", "/ui"), ("/ui/", "/ui"), ("/docs/", "/docs"), ("/describers/", "/describers")],
)
async def test_redirects_lead_where_clients_can_go(served: Site, start: str, end: str) -> None:
    answer = await served.client.get(served.root + start, follow_redirects=True)
    assert (answer.status_code, str(answer.url)) == (200, served.root + end)


async def test_an_image_is_submitted_and_followed(served: Site) -> None:
    address = f"{served.root}/submit"
    answer = await served.client.post(address, files={"file": ("photo.png", picture())})
    assert answer.status_code == 202
    location = urljoin(address, answer.headers["location"])
    assert location == f"{served.root}/status/{answer.json()['job_id']}"
    for method in ("GET", "HEAD"):
        assert (await served.client.request(method, location)).status_code == 200


async def test_the_inbox_is_filled_and_emptied(served: Site) -> None:
    address = f"{served.root}/inbox/holiday/photo.png"
    answer = await served.client.post(address, files={"file": ("photo.png", picture())})
    assert answer.status_code == 201
    assert urljoin(address, answer.headers["location"]) == address
    assert (await served.client.options(address)).headers[
        "allow"
    ] == "GET, HEAD, POST, DELETE, OPTIONS"
    (found,) = (await served.client.get(f"{served.root}/inbox")).json()["objects"]
    assert found["key"] == "inbox/holiday/photo.png"
    assert (await served.client.delete(address)).status_code == 204
    assert (await served.client.head(address)).status_code == 404


async def test_a_problem_names_the_path_that_the_client_has_asked_for(served: Site) -> None:
    answer = await served.client.get(f"{served.root}/status/job-unknown")
    assert answer.status_code == 404
    assert answer.url.path == answer.json()["instance"]


async def test_options_reach_the_api(served: Site) -> None:
    answer = await served.client.options(f"{served.root}/submit")
    assert (answer.status_code, answer.headers["allow"]) == (204, "POST, OPTIONS")


async def test_the_document_names_the_server(served: Site) -> None:
    document = (await served.client.get(f"{served.root}/openapi.json")).json()
    (server,) = document.get("servers", [{"url": ""}])
    assert urljoin(served.root, server["url"]).rstrip("/") == served.root


async def test_page_and_documentation_work_in_a_browser(served: Site) -> None:
    """Every part of them is found, whatever the path."""
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


async def test_what_a_client_makes_up_does_not_reach_the_answers(tmp_path: Path) -> None:
    """Nginx overwrites the headers that it sends itself, and the API believes no other."""
    async with site(WAYS["prefix removed, by header"], tmp_path, Cluster()) as served:
        made_up = {
            "X-Forwarded-Prefix": "/evil",
            "X-Forwarded-Host": "evil.example",
            "Forwarded": "host=evil.example;proto=http",
        }
        answer = await served.client.get(f"{served.root}/", headers=made_up)
        assert urljoin(str(answer.url), answer.headers["location"]) == f"{served.root}/ui"
        assert "evil" not in str(answer.headers)


async def test_pages_of_other_origins_are_told_so_through_the_proxy(tmp_path: Path) -> None:
    async with site(WAYS["prefix kept, by header"], tmp_path, Cluster()) as served:
        asked = {
            "Origin": "https://gallery.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "idempotency-key",
        }
        answer = await served.client.options(f"{served.root}/submit", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://gallery.example.com"
