"""The page in a real browser, against the real system."""

import base64
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
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

# Chromium itself logs every 4xx answer and cut connection; the page shows them, so they are no faults of it.
REFUSED = re.compile(
    r"Failed to load resource: (the server responded with a status of 4\d\d|net::ERR_FAILED)"
)

REPORT_VIOLATIONS = """
  addEventListener("securitypolicyviolation", (event) =>
    console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""

TRANSFER = """([content, name, type]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}"""


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


def transfer(page: Page, file: Path, name: str, media_type: str = "image/jpeg") -> JSHandle:
    """Return a DataTransfer that holds a file, as a drag or the clipboard would."""
    content = base64.b64encode(file.read_bytes()).decode()
    return page.evaluate_handle(TRANSFER, [content, name, media_type])


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
    page.evaluate(
        """(files) => document.body.dispatchEvent(
             new ClipboardEvent("paste", { clipboardData: files, bubbles: true }))""",
        transfer(page, photo, "pasted.jpg"),
    )
    expect_described(page, "pasted.jpg")


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
    assert first == ("curl -F 'image=@\"a'\\''; rm -rf ~; \ufffd[2J\ufffdgpj.jpg\"' http://server/submit")


def test_the_api_documents_itself_without_the_internet(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/docs")
    page.get_by_text("/submit", exact=True).wait_for()
    page.close()
    assert [address for address in asked if not address.startswith((url, "data:"))] == []
