"""Tests of the page in a real browser: logging in, the end of a session, and logging out."""

from pathlib import Path

import httpx
import pytest
from conftest import wait_for
from playwright.sync_api import Page, expect
from ui.conftest import browser, page
from ui.page import MINUTE_MS, expect_described

from access.conftest import Client, NewClient, Secured

__all__ = ["browser", "page"]  # pytest looks up the fixtures in this module

COOKIE = "vision_node_session"


@pytest.fixture(autouse=True, scope="module")
def secured(secured_release: Secured) -> Secured:
    """Secure the release before the page is opened."""
    return secured_release


@pytest.fixture
def client(new_client: NewClient) -> Client:
    """A client that may submit images and read its results."""
    return new_client(owner="page-team")


def log_in(page: Page, key: str) -> None:
    """Enter a key, and send it with the Enter key."""
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")


def choose(page: Page, image: Path) -> None:
    page.get_by_label("Images", exact=True).set_input_files(image)


def test_chosen_image_is_described_after_the_login(page: Page, photo: Path, client: Client) -> None:
    expect(page.get_by_label("API key")).to_be_focused()
    choose(page, photo)
    expect(page.locator(".note-title")).to_have_text("Log in to continue")

    log_in(page, client.key)
    expect_described(page, photo.name)
    expect(page.get_by_label("API key")).to_be_hidden()
    expect(page.locator("#identity")).to_contain_text("(page-team)")
    expect(page.locator("#formats")).to_contain_text("JPEG")


def test_session_lasts_after_a_reload(page: Page, photo: Path, client: Client) -> None:
    log_in(page, client.key)
    choose(page, photo)
    expect_described(page, photo.name)

    page.reload()
    expect_described(page, photo.name)
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.get_by_label("API key")).to_be_hidden()


def test_wrong_key_is_refused_and_can_be_corrected(page: Page, client: Client) -> None:
    log_in(page, f"vn_aaaaaaaaaaaa_{'a' * 52}")
    expect(page.get_by_role("alert")).to_contain_text("does not accept this key")
    expect(page.get_by_label("API key")).to_be_focused()

    log_in(page, f"  {client.key} ")
    expect(page.get_by_label("API key")).to_be_hidden()


def test_session_that_ends_during_a_submission_is_renewed(
    page: Page, photo: Path, client: Client
) -> None:
    log_in(page, client.key)
    expect(page.locator("#identity")).to_be_visible()

    page.context.clear_cookies()
    choose(page, photo)
    expect(page.locator(".note-title")).to_have_text("Log in to continue")
    log_in(page, client.key)
    expect_described(page, photo.name)
    expect(page.get_by_role("article")).to_have_count(1)


def test_revoking_the_key_ends_its_sessions(
    page: Page, photo: Path, client: Client, new_client: NewClient, admin: httpx.Client
) -> None:
    log_in(page, client.key)
    expect(page.locator("#identity")).to_be_visible()

    assert admin.delete(f"/keys/{client.key_id}").status_code == 204
    wait_for(lambda: client.http.get("/whoami").status_code, lambda status: status == 401)
    choose(page, photo)
    expect(page.get_by_label("API key")).to_be_visible(timeout=MINUTE_MS)

    log_in(page, client.key)
    expect(page.get_by_role("alert")).to_contain_text("revoked")
    log_in(page, new_client(owner="page-team").key)
    expect_described(page, photo.name)


def test_log_out_removes_the_session_and_what_the_page_shows(
    page: Page, photo: Path, client: Client
) -> None:
    log_in(page, client.key)
    choose(page, photo)
    expect_described(page, photo.name)

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_focused()
    expect(page.get_by_role("article")).to_have_count(0)
    assert [it for it in page.context.cookies() if it["name"] == COOKIE] == []

    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(0)


def test_scripts_can_not_read_the_session(page: Page, client: Client) -> None:
    log_in(page, client.key)
    expect(page.locator("#identity")).to_be_visible()
    (cookie,) = (it for it in page.context.cookies() if it["name"] == COOKIE)
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")

    assert COOKIE not in page.evaluate("document.cookie")
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert client.key not in stored
    assert cookie["value"] not in stored


def test_names_are_shown_as_text(page: Page, client: Client) -> None:
    markup = "<img src=x onerror=alert(1)>\u202e"
    shown = "<img src=x onerror=alert(1)>\ufffd"
    identity = {"subject": markup, "owner": markup + "2", "scopes": [], "expires_at": None}
    page.route("**/whoami", lambda route: route.fulfill(json=identity))
    log_in(page, client.key)
    expect(page.locator("#identity-name")).to_have_text(shown)
    expect(page.locator("#identity-owner")).to_have_text(f"({shown}2)")


def test_missing_right_is_explained(page: Page, photo: Path, new_client: NewClient) -> None:
    log_in(page, new_client(scopes=["read"]).key)
    choose(page, photo)
    expect(page.locator(".problem-title")).to_have_text("Forbidden")
    expect(page.locator(".problem-detail")).to_contain_text("submit")


def test_limit_of_the_owner_is_explained(page: Page, photo: Path, client: Client) -> None:
    problem = {"title": "T", "status": 429, "reason": "RateLimited", "detail": "Send less."}
    page.route(
        "**/submit",
        lambda route: route.fulfill(status=429, json=problem, headers={"Retry-After": "2"}),
        times=1,
    )
    log_in(page, client.key)
    choose(page, photo)
    expect(page.locator(".note-title")).to_have_text("Rate limited: next try in 2 s")
    expect(page.locator(".note-detail")).to_have_text("Send less.")
    expect_described(page, photo.name)


def test_quota_that_lasts_for_hours_is_no_reason_to_wait(
    page: Page, photo: Path, client: Client
) -> None:
    detail = "Today's quota is used up."
    problem = {"title": "T", "status": 429, "reason": "DailyBytesUsed", "detail": detail}
    page.route(
        "**/submit",
        lambda route: route.fulfill(status=429, json=problem, headers={"Retry-After": "7200"}),
        times=1,
    )
    log_in(page, client.key)
    choose(page, photo)
    expect(page.locator(".problem-detail")).to_have_text(detail)
    page.get_by_role("button", name="Try again").click()
    expect_described(page, photo.name)


@pytest.mark.parametrize("width", [360, 1280])
def test_login_fits_the_viewport(page: Page, client: Client, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    log_in(page, client.key)
    expect(page.locator("#identity")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_commands_send_a_key(page: Page, client: Client) -> None:
    log_in(page, client.key)
    expect(page.locator("#terminal-submit")).to_contain_text(
        'curl -H "Authorization: Bearer $VISION_NODE_API_KEY" -F file=@photo.jpg'
    )
