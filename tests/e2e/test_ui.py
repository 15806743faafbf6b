"""The page in a real browser, against the real system."""

import base64
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictures import encoded, halves
from playwright.sync_api import Browser, JSHandle, Page, expect, sync_playwright

CHROMIUM_FLAGS = [
    "--no-sandbox",  # containers of CI lack the namespaces for it; only our own page is opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The first image may have to wait for a describer to start.
DESCRIBED_MS = 60_000

# Chromium itself logs every 4xx and 500 answer and cut connection; the page shows them, so they are no faults of it.
REFUSED = re.compile(
    r"Failed to load resource: (the server responded with a status of (?:4\d\d|500)|net::ERR_FAILED)"
)

REPORT_VIOLATIONS = """
  addEventListener("securitypolicyviolation", (event) =>
    console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""

TRANSFER = """([content, name, type, texts]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  if (name) transfer.items.add(new File([bytes], name, { type }));
  for (const [kind, text] of Object.entries(texts)) transfer.setData(kind, text);
  return transfer;
}"""

PASTE = """([files, where]) => document.querySelector(where).dispatchEvent(
  new ClipboardEvent("paste", { clipboardData: files, bubbles: true }))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """Open the page; at the end, nothing may have gone wrong on it."""
    context = browser.new_context()
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda log: faults.append(log.text) if log.type == "error" else None)
    page.goto(f"{url.rstrip('/')}/ui")
    yield page
    context.close()
    assert [fault for fault in faults if not REFUSED.match(fault)] == []


def transfer(
    page: Page, file: Path, name: str, media_type: str = "image/jpeg", texts: dict[str, str] | None = None
) -> JSHandle:
    """Return a DataTransfer of a file (none without a name) and texts, as a drag or the clipboard has."""
    content = base64.b64encode(file.read_bytes()).decode()
    return page.evaluate_handle(TRANSFER, [content, name, media_type, texts or {}])


def drop(page: Page, files: JSHandle) -> None:
    page.dispatch_event("body", "dragover", {"dataTransfer": files})
    page.dispatch_event("body", "drop", {"dataTransfer": files})


def expect_described(page: Page, name: str) -> None:
    card = page.get_by_role("article", name=name)
    expect(card.get_by_text("Done", exact=True)).to_be_visible(timeout=DESCRIBED_MS)
    expect(card.locator(".description")).to_contain_text("Dimensions")


def test_a_chosen_image_is_described(page: Page, photo: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files(photo)
    expect_described(page, photo.name)
    expect(page.get_by_role("status")).to_contain_text("done")


def test_describers_are_offered_where_there_are_several(page: Page, photo: Path) -> None:
    choice = page.get_by_label("Describer")
    expect(choice).to_be_hidden()
    both = [{"name": "metadata", "model": None, "ready": True, "default": True}]
    both.append({"name": "nobody", "model": "gpt-x", "ready": False, "default": False})
    page.route("**/describers", lambda route: route.fulfill(json={"describers": both}))
    page.reload()
    expect(choice).to_have_value("metadata")
    choice.select_option("nobody (gpt-x) – not ready")
    page.get_by_label("Ask for").fill("Which building?")
    page.get_by_label("Images", exact=True).set_input_files(photo)
    card = page.get_by_role("article", name=photo.name)
    expect(card.locator(".problem-detail")).to_contain_text("no describer is named 'nobody'")


def test_a_dropped_image_is_described(page: Page, photo: Path) -> None:
    files = transfer(page, photo, "dropped.jpg")
    page.dispatch_event("body", "dragover", {"dataTransfer": files})
    expect(page.get_by_text("Drop to describe")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": files})
    expect(page.get_by_text("Drop to describe")).to_be_hidden()
    expect_described(page, "dropped.jpg")


def test_a_pasted_image_is_described(page: Page, photo: Path) -> None:
    page.evaluate(PASTE, [transfer(page, photo, "pasted.jpg"), "body"])
    expect_described(page, "pasted.jpg")


COPIED = {
    "from a browser": {
        "text/html": '<meta charset="utf-8"><img src="https://example.com/a.jpg" alt="a cat">'
    },
    "from a file manager": {"text/plain": "copied.jpg"},
    "from another file manager": {"text/plain": "file:///home/me/copied.jpg\n"},
}
TEXT = {
    "a word": ("", {"text/plain": "hello"}, "body"),
    "an address": ("", {"text/plain": "https://example.com/a.jpg"}, "body"),
    "text of Word": ("image.png", {"text/plain": "Dear", "text/html": "<p>Dear</p>"}, "body"),
    "cells of Excel": (
        "image.png",
        {"text/html": "<style>td {}</style><table><tr><td>7</td></tr></table>"},
        "body",
    ),
    "a picture for a text field": ("image.png", {}, "#prompt"),
    "nothing": ("", {}, "body"),
}


@pytest.mark.parametrize("case", COPIED)
def test_a_copied_picture_is_described(page: Page, photo: Path, case: str) -> None:
    page.evaluate(PASTE, [transfer(page, photo, "copied.jpg", texts=COPIED[case]), "body"])
    expect_described(page, "copied.jpg")


@pytest.mark.parametrize("case", TEXT)
def test_text_is_pasted_in_silence(page: Page, photo: Path, case: str) -> None:
    name, texts, where = TEXT[case]
    page.evaluate(PASTE, [transfer(page, photo, name, "image/png", texts), where])
    page.evaluate(PASTE, [transfer(page, photo, "after.jpg"), "body"])
    expect_described(page, "after.jpg")
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.locator("#notice")).to_be_hidden()


def test_dropped_text_is_ignored(page: Page, photo: Path) -> None:
    drop(page, transfer(page, photo, "", texts={"text/plain": "https://example.com"}))
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.get_by_role("article")).to_have_count(0)


def test_the_limits_are_the_server_s(page: Page, tmp_path: Path) -> None:
    limits = page.request.get(page.url.replace("/ui", "/limits")).json()
    expect(page.locator("#formats")).to_contain_text(", ".join(limits["formats"][:-1]))
    expect(page.locator("#formats")).to_contain_text(f"{limits['imageBytes'] >> 20} MiB")
    assert ".heic" in (page.locator("#file").get_attribute("accept") or "")

    page.route("**/limits", lambda route: route.fulfill(json={**limits, "imageBytes": 1000}))
    page.reload()
    expect(page.locator("#formats")).to_contain_text("up to 0")
    large = tmp_path / "large.png"
    large.write_bytes(bytes(1001))
    page.get_by_label("Images", exact=True).set_input_files(large)
    expect(page.locator(".problem-detail")).to_contain_text("It has 1,001 bytes, and the limit is 1,000")


def test_it_works_without_knowing_the_limits(page: Page, photo: Path) -> None:
    page.route("**/limits", lambda route: route.abort())
    page.reload()
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)


@pytest.mark.parametrize(
    ("kind", "name"), [("HEIF", "photo.heic"), ("HEIF", "photo.HIF"), ("TIFF", "scan.tif")]
)
def test_what_the_browser_does_not_know_is_described(
    page: Page, tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(halves(), kind))
    drop(page, transfer(page, path, name, ""))
    expect_described(page, name)
    expect(page.locator(".no-preview")).to_be_visible()


def test_a_picture_that_is_cut_says_so(page: Page, photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:-2])
    page.get_by_label("Images", exact=True).set_input_files(cut)
    expect_described(page, "cut.jpg")
    expect(page.locator(".warnings")).to_contain_text("ends too early")


def test_an_unforeseen_error_shows_the_id_that_the_log_has(page: Page, photo: Path) -> None:
    problem = {
        "title": "Internal Server Error",
        "detail": "d",
        "reason": "InternalError",
        "id": "0123456789abcdef",
    }
    page.route("**/submit", lambda route: route.fulfill(status=500, json=problem), times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.locator(".problem-code")).to_contain_text("id 0123456789abcdef")


def test_several_images_make_a_card_each(page: Page, photo: Path, tmp_path: Path) -> None:
    copies = [shutil.copy(photo, tmp_path / f"photo-{number}.jpg") for number in range(5)]
    page.get_by_label("Images", exact=True).set_input_files(copies)
    for number in range(5):
        expect_described(page, f"photo-{number}.jpg")
    expect(page.get_by_text("5 done", exact=True)).to_be_visible()


def test_a_corrupt_image_fails_with_words_for_people(page: Page, tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt.jpg"
    corrupt.write_bytes(b"\xff\xd8\xff\xe0 not an image" * 40)
    page.get_by_label("Images", exact=True).set_input_files(corrupt)
    card = page.get_by_role("article", name="corrupt.jpg")
    expect(card.get_by_text("Failed", exact=True)).to_be_visible(timeout=DESCRIBED_MS)
    expect(card.locator(".problem-title")).not_to_be_empty()
    expect(card.locator(".problem-detail")).not_to_be_empty()
    expect(card.locator(".problem-code")).to_contain_text(re.compile(r"[A-Z][a-z]+[A-Z]"))
    expect(card.get_by_role("button", name="Try again")).to_be_hidden()


def test_what_is_no_image_is_refused_without_asking_the_server(page: Page, tmp_path: Path) -> None:
    uploads: list[str] = []
    page.on("request", lambda request: uploads.append(request.url) if request.method == "POST" else None)
    report = tmp_path / "report.pdf"
    report.write_bytes(b"%PDF-1.7")
    drop(page, transfer(page, report, "report.pdf", "application/pdf"))
    expect(page.get_by_text("Not an image that can be described")).to_be_visible()
    assert uploads == []


def test_a_reload_keeps_the_session(page: Page, photo: Path) -> None:
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)
    page.reload()
    expect_described(page, photo.name)
    expect(page.locator(".preview img")).to_be_visible()


def test_lost_connections_are_said_and_survived(page: Page, photo: Path) -> None:
    page.route("**/status/**", lambda route: route.abort())
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.get_by_text("Reconnecting")).to_be_visible()
    page.unroute("**/status/**")
    expect_described(page, photo.name)
    expect(page.get_by_text("Reconnecting")).to_be_hidden()


def test_a_busy_server_is_waited_for(page: Page, photo: Path) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "2"}, "body": "{}"}
    page.route("**/submit", lambda route: route.fulfill(**busy), times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.get_by_text("The server is busy: next try in")).to_be_visible()
    expect_described(page, photo.name)


def test_the_keyboard_is_enough(page: Page, photo: Path) -> None:
    def tab_to(name: str) -> None:
        target = page.get_by_role("button", name=name).or_(page.locator("summary", has_text=name))
        for _ in range(20):
            page.keyboard.press("Tab")
            if target.evaluate("(element) => element === document.activeElement"):
                return
        pytest.fail(f"Tab never reaches {name!r}")

    with page.expect_file_chooser() as chooser:
        tab_to("Choose images")
        page.keyboard.press("Enter")
    chooser.value.set_files(photo)
    expect_described(page, photo.name)

    tab_to("Copy description")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()

    tab_to("curl, kubectl and JSON")
    page.keyboard.press("Enter")
    expect(page.get_by_text("kubectl get imagejob").last).to_be_visible()

    page.get_by_role("button", name=f"Remove {photo.name}").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Choose images")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820, 1920])
def test_nothing_sticks_out(page: Page, photo: Path, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)
    page.get_by_text("curl, kubectl and JSON").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_hostile_file_name_stays_one_word_of_the_command(page: Page) -> None:
    name = "a'; rm -rf ~; \x1b[2J\u202egpj.jpg"
    commands = page.evaluate(
        """async (name) => {
             const { commands } = await import(new URL("ui/text.js", document.baseURI));
             return commands("http://server/", name, "job");
           }""",
        name,
    )
    first, *_ = commands["curl"].split("\n")
    assert first == ("curl -F 'file=@\"a'\\''; rm -rf ~; \ufffd[2J\ufffdgpj.jpg\"' http://server/submit")


def test_the_api_documents_itself_without_the_internet(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/docs")
    page.get_by_text("/submit", exact=True).wait_for()
    page.close()
    assert [address for address in asked if not address.startswith((url, "data:"))] == []
