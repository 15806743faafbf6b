"""Fixtures for tests of the page: a browser, and the page in it."""

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from conftest import FAST_DESCRIBER
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM_FLAGS = [
    # CI containers lack the namespaces that the sandbox needs. The tests open only our own page.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

EXPECTED_ERRORS = re.compile(
    r"Failed to load resource: (the server responded with a status of [45]\d\d|net::ERR_FAILED)"
)
"""Errors that Chromium logs for error statuses and lost connections. The page handles both."""

REPORT_VIOLATIONS = """
  addEventListener("securitypolicyviolation", (event) =>
    console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium, and stop it after the module's tests.

    While the browser runs, the thread has a running event loop, and no asynchronous test can start.
    The scope is not "package": in a module of another package, that would mean the whole session.
    """
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


ONLY_FAST_DESCRIBER = {
    "describers": [{"name": FAST_DESCRIBER, "model": None, "ready": True, "default": True}]
}
"""Response to GET /describers that makes the page use a fast describer."""


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """Open the page, and check after the test that it logged no unexpected errors.

    The page knows only the describer metadata, so that most tests are fast.
    """
    context = browser.new_context()
    context.route("**/describers", lambda route: route.fulfill(json=ONLY_FAST_DESCRIBER))
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda log: errors.append(log.text) if log.type == "error" else None)
    page.goto(f"{url.rstrip('/')}/ui")

    yield page

    context.close()
    assert [error for error in errors if not EXPECTED_ERRORS.match(error)] == []


@pytest.fixture(scope="module")
def modules(browser: Browser, url: str) -> Iterator[Page]:
    """Open the page once, for tests that only call functions of its modules."""
    page = browser.new_page()
    page.goto(f"{url.rstrip('/')}/ui")
    yield page
    page.close()
