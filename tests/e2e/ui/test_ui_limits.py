"""Tests of the page in a real browser: the server's limits."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ui.page import MINUTE_MS, call, expect_described


def test_limits_come_from_the_server(page: Page, tmp_path: Path) -> None:
    limits = page.request.get(page.url.replace("/ui", "/limits")).json()
    expect(page.locator("#formats")).to_contain_text(", ".join(limits["formats"][:-1]))
    expect(page.locator("#formats")).to_contain_text(f"{limits['imageBytes'] >> 20} MiB")
    assert ".heic" in (page.locator("#file").get_attribute("accept") or "")

    page.route("**/limits", lambda route: route.fulfill(json={**limits, "imageBytes": 1000}))
    page.reload()
    expect(page.locator("#formats")).to_contain_text("up to 1,000 bytes and 100 megapixels each")

    large = tmp_path / "large.png"
    large.write_bytes(bytes(1001))
    page.get_by_label("Images", exact=True).set_input_files(large)
    detail = (
        "The image has 1,001 bytes, but the limit is 1,000 bytes. Make it smaller and try again."
    )

    expect(page.locator(".problem-detail")).to_have_text(detail)


SUMMARIES = [
    (
        {"imageBytes": 20 << 20, "imagePixels": 100_000_000},
        "JPEG or HEIC, up to 20 MiB and 100 megapixels each",
    ),
    ({"imageBytes": 20_000_000}, "JPEG or HEIC, up to 19 MiB each"),
    (
        {"imageBytes": 500 << 10, "imagePixels": 50_000},
        "JPEG or HEIC, up to 500 KiB and 50,000 pixels each",
    ),
    ({}, "JPEG or HEIC"),
]


@pytest.mark.parametrize(("limits", "words"), SUMMARIES)
def test_limits_are_shown_in_readable_units(
    modules: Page, limits: dict[str, int], words: str
) -> None:
    known = {"formats": ["JPEG", "HEIC"], "mediaTypes": [], **limits}
    assert call(modules, "files.js", "limitsText", known) == words


LIMITS = {"imageBytes": 20 << 20, "uploadSeconds": 7200, "answerSeconds": 100}


TIMEOUTS = {
    "the timeout for the largest image is longer than the server's limit": (
        LIMITS,
        20 << 20,
        120,
        125,
    ),
    "the timeout for a small image is short, so that a lost upload is noticed soon": (
        LIMITS,
        100_000,
        1,
        5,
    ),
    "the server has no limits": ({}, 20 << 20, 30, 35),
    "the server's time limit is extremely long": (
        {**LIMITS, "uploadSeconds": 1e12},
        20 << 20,
        30_000,
        36_000,
    ),
}


@pytest.mark.parametrize("case", TIMEOUTS)
def test_upload_timeout_depends_on_size_and_limits(modules: Page, case: str) -> None:
    limits, size, least, most = TIMEOUTS[case]
    assert (
        least * MINUTE_MS < call(modules, "limits.js", "uploadMs", limits, size) < most * MINUTE_MS
    )


FILES = [
    ("photo.jpg", "image/jpeg", 1, None),
    ("photo.HEIC", "", 1, None),
    ("photo.heic", "image/heif", 1, None),
    ("photo.hif", "application/octet-stream", 1, None),
    ("scan.tif", "image/x-tiff", 1, None),
    ("scan.tif", "application/x-tiff", 1, None),
    ("IMG_0001", "", 1, None),
    ("IMG_0001", "application/octet-stream", 1, None),
    ("drawing.svg", "image/svg+xml", 1, "UnsupportedFormat"),
    ("film.mov", "video/quicktime", 1, "UnsupportedFormat"),
    ("report.pdf", "application/pdf", 1, "UnsupportedFormat"),
    ("photo.jpg", "image/jpeg", 1000, None),
    ("photo.jpg", "image/jpeg", 1001, "ImageTooLarge"),
    ("photo.jpg", "image/jpeg", 0, "EmptyImage"),
]


@pytest.mark.parametrize(("name", "media_type", "size", "reason"), FILES)
def test_only_obviously_invalid_files_are_rejected_before_the_upload(
    modules: Page, name: str, media_type: str, size: int, reason: str | None
) -> None:
    types = ["image/jpeg", "image/heic", "image/tiff"]
    limits = {"imageBytes": 1000, "mediaTypes": types, "formats": ["JPEG", "HEIC", "TIFF"]}
    file_type = call(modules, "files.js", "typeOf", {"name": name, "type": media_type})
    problem = call(modules, "files.js", "checkFile", {"type": file_type, "size": size}, limits)

    assert (problem and problem["reason"]) == reason


def test_failed_request_for_limits_is_repeated(page: Page, tmp_path: Path) -> None:
    page.route("**/limits", lambda route: route.abort())
    page.reload()
    expect(page.locator("#file")).to_have_attribute(
        "accept", re.compile(r"^image/\*,.*\.heic.*\.tiff")
    )

    page.unroute("**/limits")
    page.route(
        "**/limits",
        lambda route: route.fulfill(json={"imageBytes": 3, "formats": None, "mediaTypes": 7}),
    )
    large = tmp_path / "large.png"
    large.write_bytes(bytes(4))
    page.get_by_label("Images", exact=True).set_input_files(large)

    expect(page.locator(".problem-title")).to_have_text("The image is too large")


def test_page_works_without_limits(page: Page, photo: Path) -> None:
    page.route("**/limits", lambda route: route.abort())
    page.reload()
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)
