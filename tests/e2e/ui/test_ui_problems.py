"""Tests of the page in a real browser: how it shows problems and retries requests."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from ui.page import DESCRIBED_MS, MINUTE_MS, expect_described


def test_truncated_image_shows_a_warning(page: Page, photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:-2])
    page.get_by_label("Images", exact=True).set_input_files(cut)
    expect_described(page, "cut.jpg")
    expect(page.locator(".warnings")).to_contain_text("ends too early")


def test_corrupt_image_fails_with_a_readable_problem(page: Page, tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt.jpg"
    corrupt.write_bytes(b"\xff\xd8\xff\xe0 not an image" * 40)
    page.get_by_label("Images", exact=True).set_input_files(corrupt)
    card = page.get_by_role("article", name="corrupt.jpg")

    expect(card.get_by_text("Failed", exact=True)).to_be_visible(timeout=DESCRIBED_MS)
    expect(card.locator(".problem-title")).not_to_be_empty()
    expect(card.locator(".problem-detail")).not_to_be_empty()
    expect(card.locator(".problem-code")).to_contain_text(re.compile(r"[A-Z][a-z]+[A-Z]"))
    expect(card.get_by_role("button", name="Try again")).to_be_hidden()


def test_unexpected_error_shows_the_id_from_the_log(page: Page, photo: Path) -> None:
    problem = {
        "title": "Internal Server Error",
        "detail": "d",
        "reason": "InternalError",
        "id": "0123456789abcdef",
    }
    page.route("**/submit", lambda route: route.fulfill(status=500, json=problem), times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)

    expect(page.locator(".problem-code")).to_contain_text("id 0123456789abcdef")


TEMPORARY = {
    "full storage": (
        503,
        "StorageFull",
        "storage is full: enlarge its volume",
        "Storage full: next try in 2 s",
    ),
    "wrong storage credentials": (
        503,
        "StorageDenied",
        "storage rejected our keys",
        "Storage denied: next try in 2 s",
    ),
    "different clocks": (
        503,
        "ClockSkew",
        "synchronize both with NTP",
        "Clock skew: next try in 2 s",
    ),
    "slow connection": (
        408,
        "UploadTooSlow",
        "use a faster connection",
        "Upload too slow: next try in 2 s",
    ),
}


@pytest.mark.parametrize("case", TEMPORARY)
def test_temporary_problem_is_shown_and_the_upload_is_retried(
    page: Page, photo: Path, case: str
) -> None:
    status, reason, detail, title = TEMPORARY[case]
    answer = {"title": "T", "status": status, "detail": detail, "reason": reason}
    headers = {"Retry-After": "2"}
    page.route(
        "**/submit",
        lambda route: route.fulfill(status=status, json=answer, headers=headers),
        times=1,
    )
    page.get_by_label("Images", exact=True).set_input_files(photo)

    expect(page.locator(".note-title")).to_have_text(title)
    expect(page.locator(".note-detail")).to_have_text(detail)

    expect_described(page, photo.name)
    expect(page.locator(".note")).to_be_hidden()


REFUSED_SUBMITS = {
    "several images": (
        400,
        {"title": "T", "reason": "TooManyImages", "detail": "d"},
        "Too many images",
        "d",
        False,
    ),
    "truncated upload": (
        400,
        {"title": "T", "reason": "UploadBroken", "detail": "d"},
        "Upload broken",
        "d",
        True,
    ),
    "internal error": (
        500,
        {"title": "T", "reason": "InternalError", "detail": "d", "id": "1"},
        "Internal error",
        "d",
        True,
    ),
    "response from a proxy": (
        413,
        None,
        "The server answered 413",
        "A proxy between this page and the server",
        False,
    ),
}


@pytest.mark.parametrize("case", REFUSED_SUBMITS)
def test_rejection_shows_the_reason_and_offers_a_retry_only_if_useful(
    page: Page, photo: Path, case: str
) -> None:
    status, body, title, detail, can_retry = REFUSED_SUBMITS[case]
    answer = {"json": body} if body else {"body": "<html>no</html>"}
    page.route("**/submit", lambda route: route.fulfill(status=status, **answer))
    page.get_by_label("Images", exact=True).set_input_files(photo)
    card = page.get_by_role("article", name=photo.name)

    expect(card.locator(".problem-title")).to_have_text(title)
    expect(card.locator(".problem-detail")).to_contain_text(detail)
    expect(card.get_by_role("button", name="Try again")).to_be_visible(visible=can_retry)
    expect(page.get_by_role("status")).to_contain_text(f"{photo.name}: failed. {title}.")


def test_slow_upload_is_repeated_after_its_connection_is_lost(page: Page, photo: Path) -> None:
    page.clock.install()
    page.reload()

    def lose(route: Route) -> None:
        page.clock.fast_forward(5 * MINUTE_MS)
        route.abort()

    page.route("**/submit", lose, times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)


def test_retry_of_an_accepted_job_does_not_submit_it_again(page: Page, photo: Path) -> None:
    submits: list[str] = []
    page.on(
        "request", lambda request: submits.append(request.url) if request.method == "POST" else None
    )
    error = {"title": "Internal Server Error", "reason": "InternalError", "detail": "d", "id": "1"}
    page.route("**/status/**", lambda route: route.fulfill(status=500, json=error), times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)
    page.get_by_role("button", name="Try again").click()
    expect_described(page, photo.name)

    assert len(submits) == 1


def test_queued_job_shows_why_it_waits(page: Page, photo: Path) -> None:
    waiting = {"reason": "CredentialsRefused", "message": "the provider refuses the key"}
    queued = {"status": "queued", "attempts": 0, "duration_seconds": None, "waiting": waiting}
    page.route("**/status/**", lambda route: route.fulfill(json=queued))
    page.get_by_label("Images", exact=True).set_input_files(photo)

    expect(page.locator(".note-title")).to_have_text("Credentials refused")
    expect(page.locator(".note-detail")).to_have_text("the provider refuses the key")

    page.unroute("**/status/**")
    expect_described(page, photo.name)
    expect(page.locator(".note")).to_be_hidden()


def test_lost_connection_is_shown_and_retried(page: Page, photo: Path) -> None:
    page.route("**/status/**", lambda route: route.abort())
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.get_by_text("Reconnecting: next try in")).to_be_visible()
    page.unroute("**/status/**")
    expect_described(page, photo.name)
    expect(page.get_by_text("Reconnecting: next try in")).to_be_hidden()


def test_busy_server_is_shown_and_retried(page: Page, photo: Path) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "2"}, "body": "{}"}
    page.route("**/submit", lambda route: route.fulfill(**busy), times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.get_by_text("The server is busy: next try in")).to_be_visible()
    expect_described(page, photo.name)
