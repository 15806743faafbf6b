"""Tests of the page's login in a real browser, behind a real nginx, without a cluster."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fakes.keys_api import SECRET, KeysApi
from fakes.kube_server import connected
from nginx_site import ProxyRoute, Site, site_of
from playwright.async_api import Browser, Page, async_playwright, expect
from starlette.types import ASGIApp
from test_behind_nginx import CHROMIUM_FLAGS, ROUTES
from unit.api.api_fakes import SETTINGS, Cluster, FakeBucket, batches_of, jobs_of, picture
from unit.api.api_health import health_of
from vision_node_api.app import attach_authentication, attach_services, authenticating, build_app
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.auth.assembly import authentication_of
from vision_node_api.settings import AuthSettings
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.api_keys import ENTRY_PREFIX, ApiKey, hash_key, new_key

SECURED = replace(SETTINGS, auth=AuthSettings(SECRET))
IMAGE = {"name": "a.png", "mimeType": "image/png", "buffer": picture()}


@asynccontextmanager
async def secured(settings: HttpSettings) -> AsyncIterator[tuple[ASGIApp, str]]:
    """Yield the API, whose clients need a key, and the only key."""
    key_id, text = new_key()
    stored = ApiKey(
        name="gallery",
        owner="web-team",
        scopes=["submit", "read"],
        sha256=hash_key(text),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    keys = KeysApi()
    keys.put(f"{ENTRY_PREFIX}{key_id}", stored.model_dump_json(by_alias=True))

    async with connected(keys) as kube:
        app, jobs = build_app(), jobs_of(cluster := Cluster(), FakeBucket())
        attach_services(app, jobs, batches_of(cluster, jobs), health_of(jobs), {})
        authentication = authentication_of(SECURED, kube)
        assert authentication
        attach_authentication(app, authentication)
        await authentication.keys.all()
        authentication.keys.is_loaded = True
        yield add_middleware(app, settings, app.state.metrics, authenticating(app)), text


@pytest.fixture(params=ROUTES)
async def served(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Site, str, ProxyRoute]]:
    route = ROUTES[request.param]
    async with secured(route.settings) as (app, key), site_of(app, route, tmp_path) as site:
        yield site, key, route


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


async def opened(browser: Browser, root: str) -> Page:
    """Open the page, which fails the test if an error is thrown in it."""
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    await page.goto(f"{root}/ui")
    return page


async def test_page_logs_in_and_out(served: tuple[Site, str, ProxyRoute], browser: Browser) -> None:
    site, key, route = served
    page = await opened(browser, site.root)
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.set_input_files("#file", IMAGE)
    await expect(page.locator(".note-title")).to_have_text("Log in to continue")

    await page.get_by_label("API key").fill(key)
    await page.keyboard.press("Enter")
    await expect(page.locator("#identity")).to_contain_text("gallery (web-team)")
    await expect(page.locator(".phase")).to_have_text("Queued")
    await expect(page.locator(".note")).to_be_hidden()

    (cookie,) = await page.context.cookies()
    host = urlsplit(site.root).hostname
    known = {it: cookie.get(it) for it in ("domain", "httpOnly", "sameSite", "secure")}
    assert known == {"domain": host, "httpOnly": True, "sameSite": "Strict", "secure": True}
    assert cookie.get("path") == (route.prefix or "/")

    await page.reload()
    await expect(page.get_by_role("button", name="Log out")).to_be_visible()
    await expect(page.get_by_label("API key")).to_be_hidden()

    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("API key")).to_be_focused()
    await expect(page.get_by_role("article")).to_have_count(0)
    assert await page.context.cookies() == []


async def test_session_that_ends_is_renewed(
    served: tuple[Site, str, ProxyRoute], browser: Browser
) -> None:
    site, key, _ = served
    page = await opened(browser, site.root)
    for attempt in range(2):
        await page.get_by_label("API key").fill(key)
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("API key")).to_be_hidden()
        await page.context.clear_cookies()
        await page.set_input_files("#file", IMAGE)
        await expect(page.get_by_label("API key")).to_be_visible()
        await expect(page.get_by_role("article")).to_have_count(attempt + 1)
