"""The page in a real browser, against the real system."""

import base64
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pictures import encoded, halves
from playwright.sync_api import Browser, JSHandle, Page, Route, expect, sync_playwright

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

# Chromium itself logs every refusal and cut connection; the page shows them, so they are no faults
# of it.
REFUSED = re.compile(
    r"Failed to load resource: (the server responded with a status of [45]\d\d|net::ERR_FAILED)"
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


@pytest.fixture(scope="module")
def modules(browser: Browser, url: str) -> Iterator[Page]:
    """Open the page once, for tests that only call functions of its modules."""
    page = browser.new_page()
    page.goto(f"{url.rstrip('/')}/ui")
    yield page
    page.close()


def transfer(
    page: Page,
    file: Path,
    name: str,
    media_type: str = "image/jpeg",
    texts: dict[str, str] | None = None,
) -> JSHandle:
    """Return a DataTransfer of a file (none without a name) and texts, as a drag or the clipboard has."""
    content = base64.b64encode(file.read_bytes()).decode()
    return page.evaluate_handle(TRANSFER, [content, name, media_type, texts or {}])


def call(page: Page, module: str, function: str, *arguments: object) -> Any:
    """Return what a function of one of the page's modules returns."""
    script = """async ([module, name, given]) => {
      const functions = await import(new URL(`ui/${module}`, document.baseURI));
      return functions[name](...given);
    }"""
    return page.evaluate(script, [module, function, arguments])


def offer_two_describers(page: Page) -> None:
    """Load the page again as it is where there are several describers: with a text field."""
    both = [
        {"name": name, "model": None, "ready": True, "default": name == "metadata"}
        for name in ("metadata", "x")
    ]
    page.route("**/describers", lambda route: route.fulfill(json={"describers": both}))
    page.reload()
    expect(page.get_by_label("Ask for")).to_be_visible()


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
    expect(card.locator(".problem-detail")).to_contain_text("No describer is named 'nobody'")


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


WORD_PICTURE = """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><title>Letter</title>
<style><!-- p.MsoNormal { margin: 0 } --></style>
<!--[if gte mso 9]><xml><o:shape>1</o:shape></xml><![endif]--></head>
<body><!--StartFragment--><p class="MsoNormal"><span>
<!--[if gte vml 1]><v:shape>1</v:shape><![endif]-->
<![if !vml]><img width="8" src="file:///C:/clip_image002.jpg" alt="a > b"><![endif]>
</span><o:p>&nbsp;</o:p></p></body></html>"""
IMG = '<meta charset="utf-8"><img src="https://example.com/a.jpg?x=1&amp;y=2" alt="a cat">'
CELLS = "<style>td {}</style><table><tr><td>%s</td></tr></table>"

CLIPBOARDS: dict[str, tuple[list[str], dict[str, str], list[str]]] = {
    "a screenshot": (["image.png"], {}, ["image.png"]),
    "a picture on a page": (["image.png"], {"text/html": IMG}, ["image.png"]),
    "a picture on a page, with its address": (
        ["image.png"],
        {"text/html": IMG, "text/plain": "https://example.com/a.jpg?x=1&y=2"},
        ["image.png"],
    ),
    "a picture in Word": (
        ["image.png"],
        {"text/html": WORD_PICTURE, "text/plain": "\ufffc\r\n"},
        ["image.png"],
    ),
    "a picture with blank text": (
        ["image.png"],
        {"text/html": "<p>&nbsp;</p>", "text/plain": " \n"},
        ["image.png"],
    ),
    "a picture in a table": (["image.png"], {"text/html": CELLS % IMG}, ["image.png"]),
    "a file, by its name": (["a photo.jpg"], {"text/plain": "a photo.jpg"}, ["a photo.jpg"]),
    "a file, by its name without ending": (["photo.jpg"], {"text/plain": "photo"}, ["photo.jpg"]),
    "a file, by its path": (["a.jpg"], {"text/plain": "/home/me/a.jpg\n"}, ["a.jpg"]),
    "a file, by its address": (
        ["ä 1.jpg"],
        {"text/plain": "file:///home/me/%C3%A4%201.jpg"},
        ["ä 1.jpg"],
    ),
    "files of several kinds": (
        ["report.pdf", "a.heic", "b.png"],
        {"text/plain": "report.pdf\ra.heic\rb.png"},
        ["a.heic", "b.png"],
    ),
    "text": ([], {"text/plain": "hello"}, []),
    "text of an editor, with a picture": (["image.png"], {"text/plain": "Dear"}, []),
    "text of Word": (["image.png"], {"text/plain": "Dear", "text/html": "<p>Dear</p>"}, []),
    "text as markup alone": (["image.png"], {"text/html": "<p>Dear &amp; beloved</p>"}, []),
    "text and a picture in Word": (["image.png"], {"text/html": f"<p>Dear</p>{WORD_PICTURE}"}, []),
    "cells of Excel": (["image.png"], {"text/html": CELLS % "7", "text/plain": "7"}, []),
    "empty cells of Excel": (
        ["image.png"],
        {"text/html": CELLS % "&nbsp;", "text/plain": "\t\r\n"},
        [],
    ),
    "a link's text": (
        ["image.png"],
        {"text/html": '<a href="https://example.com/a.jpg">photo</a>'},
        [],
    ),
    "markup that never ends": (
        ["image.png"],
        {"text/html": "<!-- " * 200_000 + '<a "' * 200_000},
        ["image.png"],
    ),
    "another file": (["report.pdf"], {"text/plain": "report.pdf"}, []),
    "nothing": ([], {}, []),
}

COPIED_PICTURES = """async ([files, texts]) => {
  const { copiedPictures } = await import(new URL("ui/clipboard.js", document.baseURI));
  const clipboard = new DataTransfer();
  for (const name of files) clipboard.items.add(new File(["x"], name));
  for (const [kind, text] of Object.entries(texts)) clipboard.setData(kind, text);
  return copiedPictures(clipboard).map(({ name }) => name);
}"""


@pytest.mark.parametrize("case", CLIPBOARDS)
def test_pictures_are_taken_and_text_is_not(modules: Page, case: str) -> None:
    files, texts, taken = CLIPBOARDS[case]
    assert modules.evaluate(COPIED_PICTURES, [files, texts]) == taken


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


@pytest.mark.parametrize("case", TEXT)
def test_text_is_pasted_in_silence(page: Page, photo: Path, case: str) -> None:
    name, texts, where = TEXT[case]
    page.evaluate(PASTE, [transfer(page, photo, name, "image/png", texts), where])
    page.evaluate(PASTE, [transfer(page, photo, "after.jpg"), "body"])
    expect_described(page, "after.jpg")
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.locator("#notice")).to_be_hidden()


COPY = """async (texts) => {
  const canvas = document.createElement("canvas");
  const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const parts = Object.entries(texts).map(([kind, text]) => [kind, new Blob([text], { type: kind })]);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": png, ...Object.fromEntries(parts) })]);
}"""


def test_the_browser_s_own_clipboard(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    offer_two_describers(page)
    page.evaluate(COPY, {"text/plain": "Dear", "text/html": "<p>Dear</p>"})
    page.keyboard.press("Control+V")
    page.evaluate(COPY, {"text/html": IMG})
    page.get_by_label("Ask for").focus()
    page.keyboard.press("Control+V")
    page.get_by_role("button", name="Choose images").focus()
    page.keyboard.press("Control+V")
    expect_described(page, "image.png")
    expect(page.get_by_role("article")).to_have_count(1)


def drag(page: Page, onto: str, *, text: str = "", files: tuple[Path, ...] = ()) -> None:
    """Drag from outside the browser and drop, as its own input events."""
    box = page.locator(onto).bounding_box()
    assert box
    items = [{"mimeType": "text/plain", "data": text}] if text else []
    data = {"items": items, "files": [str(file) for file in files], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)

    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": box["x"] + 9, "y": box["y"] + 9, "data": data}
        session.send("Input.dispatchDragEvent", event)


def test_a_dropped_folder_is_named_and_the_images_beside_it_are_described(
    page: Page, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "Holiday"
    folder.mkdir()
    drag(page, ".drop", files=(folder, photo))
    expect_described(page, photo.name)
    expect(page.locator("#notice")).to_have_text(
        "“Holiday” is a folder. Open it, and drop the images that it holds."
    )
    expect(page.get_by_role("article")).to_have_count(1)


def test_text_can_be_dropped_into_a_text_field_alone(page: Page) -> None:
    offer_two_describers(page)
    drag(page, "#prompt", text="Which building?")
    expect(page.get_by_label("Ask for")).to_have_value("Which building?")
    drag(page, "h1", text="Which building?")
    expect(page.get_by_role("heading", level=1)).to_have_text("Describe an image")
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
    expect(page.locator("#formats")).to_contain_text("up to 1,000 bytes and 100 megapixels each")
    large = tmp_path / "large.png"
    large.write_bytes(bytes(1001))
    page.get_by_label("Images", exact=True).set_input_files(large)
    detail = "It has 1,001 bytes, and the limit is 1,000 bytes. Make it smaller and try again."
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
def test_the_limits_in_words(modules: Page, limits: dict[str, int], words: str) -> None:
    known = {"formats": ["JPEG", "HEIC"], "mediaTypes": [], **limits}
    assert call(modules, "files.js", "summary", known) == words


MINUTE_MS = 60_000
ASKED = {"imageBytes": 20 << 20, "uploadSeconds": 7200, "answerSeconds": 100}
WAITS = {
    "the largest image gets the time that the server gives it, and more": (
        ASKED,
        20 << 20,
        120,
        125,
    ),
    "a small one that is lost is noticed soon": (ASKED, 100_000, 1, 5),
    "a server that does not say": ({}, 20 << 20, 30, 35),
    "a server that waits for ever": ({**ASKED, "uploadSeconds": 1e12}, 20 << 20, 30_000, 36_000),
}


@pytest.mark.parametrize("case", WAITS)
def test_how_long_an_upload_is_waited_for(modules: Page, case: str) -> None:
    limits, size, least, most = WAITS[case]
    assert (
        least * MINUTE_MS < call(modules, "limits.js", "uploadMs", limits, size) < most * MINUTE_MS
    )


OBJECTIONS = [
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


@pytest.mark.parametrize(("name", "media_type", "size", "reason"), OBJECTIONS)
def test_only_what_is_obviously_wrong_is_refused_before_it_is_sent(
    modules: Page, name: str, media_type: str, size: int, reason: str | None
) -> None:
    types = ["image/jpeg", "image/heic", "image/tiff"]
    limits = {"imageBytes": 1000, "mediaTypes": types, "formats": ["JPEG", "HEIC", "TIFF"]}
    told = call(modules, "files.js", "typeOf", {"name": name, "type": media_type})
    objection = call(modules, "files.js", "objection", {"type": told, "size": size}, limits)
    assert (objection and objection["reason"]) == reason


def test_limits_that_were_not_answered_are_asked_for_again(page: Page, tmp_path: Path) -> None:
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


PASSING = {
    "storage is full": (
        503,
        "StorageFull",
        "storage is full: enlarge its volume",
        "Storage full: next try in 2 s",
    ),
    "storage refuses": (
        503,
        "StorageDenied",
        "storage refuses our keys",
        "Storage denied: next try in 2 s",
    ),
    "clocks differ": (503, "ClockSkew", "synchronize both by NTP", "Clock skew: next try in 2 s"),
    "a slow line": (
        408,
        "UploadTooSlow",
        "use a faster connection",
        "Upload too slow: next try in 2 s",
    ),
}


@pytest.mark.parametrize("case", PASSING)
def test_what_may_pass_is_told_and_waited_for(page: Page, photo: Path, case: str) -> None:
    status, reason, detail, told = PASSING[case]
    answer = {"title": "T", "status": status, "detail": detail, "reason": reason}
    headers = {"Retry-After": "2"}
    page.route(
        "**/submit",
        lambda route: route.fulfill(status=status, json=answer, headers=headers),
        times=1,
    )
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.locator(".note-title")).to_have_text(told)
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
    "an upload that was cut": (
        400,
        {"title": "T", "reason": "UploadBroken", "detail": "d"},
        "Upload broken",
        "d",
        True,
    ),
    "a fault": (
        500,
        {"title": "T", "reason": "InternalError", "detail": "d", "id": "1"},
        "Internal error",
        "d",
        True,
    ),
    "a proxy": (
        413,
        None,
        "The server answered 413",
        "A proxy between this page and the server",
        False,
    ),
}


@pytest.mark.parametrize("case", REFUSED_SUBMITS)
def test_refusals_say_why_and_whether_another_try_may_help(
    page: Page, photo: Path, case: str
) -> None:
    status, body, title, detail, again = REFUSED_SUBMITS[case]
    answer = {"json": body} if body else {"body": "<html>no</html>"}
    page.route("**/submit", lambda route: route.fulfill(status=status, **answer))
    page.get_by_label("Images", exact=True).set_input_files(photo)
    card = page.get_by_role("article", name=photo.name)
    expect(card.locator(".problem-title")).to_have_text(title)
    expect(card.locator(".problem-detail")).to_contain_text(detail)
    expect(card.get_by_role("button", name="Try again")).to_be_visible(visible=again)
    expect(page.get_by_role("status")).to_contain_text(f"{photo.name}: failed. {title}.")


def test_a_slow_upload_that_is_lost_is_sent_again(page: Page, photo: Path) -> None:
    page.clock.install()
    page.reload()

    def lose(route: Route) -> None:
        page.clock.fast_forward(5 * MINUTE_MS)
        route.abort()

    page.route("**/submit", lose, times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)


def test_an_accepted_job_is_looked_up_and_not_submitted_again(page: Page, photo: Path) -> None:
    submits: list[str] = []
    page.on(
        "request", lambda request: submits.append(request.url) if request.method == "POST" else None
    )
    fault = {"title": "Internal Server Error", "reason": "InternalError", "detail": "d", "id": "1"}
    page.route("**/status/**", lambda route: route.fulfill(status=500, json=fault), times=1)
    page.get_by_label("Images", exact=True).set_input_files(photo)
    page.get_by_role("button", name="Try again").click()
    expect_described(page, photo.name)
    assert len(submits) == 1


def test_a_queued_job_says_what_it_waits_for(page: Page, photo: Path) -> None:
    waiting = {"reason": "CredentialsRefused", "message": "the provider refuses the key"}
    queued = {"status": "queued", "attempts": 0, "duration_seconds": None, "waiting": waiting}
    page.route("**/status/**", lambda route: route.fulfill(json=queued))
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.locator(".note-title")).to_have_text("Credentials refused")
    expect(page.locator(".note-detail")).to_have_text("the provider refuses the key")
    page.unroute("**/status/**")
    expect_described(page, photo.name)
    expect(page.locator(".note")).to_be_hidden()


RESULT = {"description": "Image Description:\nEin Haus.", "caption": "Ein Haus.", "language": "de"}


@pytest.mark.parametrize(
    ("warnings", "shown"),
    [
        (["One.", "Two."], ["One.", "Two."]),
        (["<b>bold</b>"], ["<b>bold</b>"]),
        ([], []),
        (None, []),
        ("text", []),
    ],
)
def test_warnings_are_shown_as_text(
    page: Page, photo: Path, warnings: object, shown: list[str]
) -> None:
    page.route("**/result/**", lambda route: route.fulfill(json={**RESULT, "warnings": warnings}))
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.locator(".caption")).to_have_text("Ein Haus.", timeout=DESCRIBED_MS)
    expect(page.locator(".warnings li")).to_have_text(shown)
    expect(page.get_by_role("list", name="Warnings")).to_be_visible(visible=bool(shown))


def test_a_description_tells_its_language(page: Page, photo: Path) -> None:
    page.route("**/result/**", lambda route: route.fulfill(json=RESULT))
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.locator(".caption")).to_have_attribute("lang", "de", timeout=DESCRIBED_MS)
    expect(page.locator(".description")).to_have_attribute("lang", "de")


def test_servers_of_one_site_keep_their_jobs_apart(page: Page, url: str, photo: Path) -> None:
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)
    page.route(
        f"{url}/other/**", lambda route: route.fulfill(response=route.fetch(url=inside(route, url)))
    )
    page.goto(f"{url}/other/ui")
    expect(page.locator("#formats")).to_contain_text("JPEG")
    expect(page.locator("#terminal-submit")).to_have_text(
        f"curl -F file=@photo.jpg {url}/other/submit"
    )
    expect(page.get_by_role("article")).to_have_count(0)
    page.goto(f"{url}/ui")
    expect_described(page, photo.name)


def inside(route: Route, url: str) -> str:
    return route.request.url.replace(f"{url}/other/", f"{url}/", 1)


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
    page.on(
        "request", lambda request: uploads.append(request.url) if request.method == "POST" else None
    )
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
    assert first == (
        "curl -F 'file=@\"a'\\''; rm -rf ~; \ufffd[2J\ufffdgpj.jpg\"' http://server/submit"
    )


def test_the_api_documents_itself_without_the_internet(browser: Browser, url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/docs")
    page.get_by_text("/submit", exact=True).wait_for()
    page.close()
    assert [address for address in asked if not address.startswith((url, "data:"))] == []
