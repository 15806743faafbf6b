"""Tests of the page in a real browser: which pasted content it accepts as images."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ui.page import PASTE, expect_described, open_with_two_describers, transfer


def test_pasted_image_is_described(page: Page, photo: Path) -> None:
    page.evaluate(PASTE, [transfer(page, photo, "pasted.jpg"), "body"])
    expect_described(page, "pasted.jpg")


WORD_PICTURE = """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head>
<title>Letter</title>
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
    "a picture from a web page": (["image.png"], {"text/html": IMG}, ["image.png"]),
    "a picture from a web page, and its URL as text": (
        ["image.png"],
        {"text/html": IMG, "text/plain": "https://example.com/a.jpg?x=1&y=2"},
        ["image.png"],
    ),
    "a picture from Word": (
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
    "a file, and its name as text": (
        ["a photo.jpg"],
        {"text/plain": "a photo.jpg"},
        ["a photo.jpg"],
    ),
    "a file, and its name without the extension as text": (
        ["photo.jpg"],
        {"text/plain": "photo"},
        ["photo.jpg"],
    ),
    "a file, and its path as text": (["a.jpg"], {"text/plain": "/home/me/a.jpg\n"}, ["a.jpg"]),
    "a file, and its URL as text": (
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
    "text from an editor, and a picture of it": (["image.png"], {"text/plain": "Dear"}, []),
    "text from Word": (["image.png"], {"text/plain": "Dear", "text/html": "<p>Dear</p>"}, []),
    "text only as HTML": (["image.png"], {"text/html": "<p>Dear &amp; beloved</p>"}, []),
    "text and a picture from Word": (
        ["image.png"],
        {"text/html": f"<p>Dear</p>{WORD_PICTURE}"},
        [],
    ),
    "cells from Excel": (["image.png"], {"text/html": CELLS % "7", "text/plain": "7"}, []),
    "empty cells from Excel": (
        ["image.png"],
        {"text/html": CELLS % "&nbsp;", "text/plain": "\t\r\n"},
        [],
    ),
    "a link's text": (
        ["image.png"],
        {"text/html": '<a href="https://example.com/a.jpg">photo</a>'},
        [],
    ),
    "unterminated HTML": (
        ["image.png"],
        {"text/html": "<!-- " * 200_000 + '<a "' * 200_000},
        ["image.png"],
    ),
    "an unsupported file": (["report.pdf"], {"text/plain": "report.pdf"}, []),
    "nothing": ([], {}, []),
}


PASTED_IMAGES = """async ([files, texts]) => {
  const { pastedImages } = await import(new URL("ui/clipboard.js", document.baseURI));
  const clipboard = new DataTransfer();
  for (const name of files) clipboard.items.add(new File(["x"], name));
  for (const [kind, text] of Object.entries(texts)) clipboard.setData(kind, text);
  return pastedImages(clipboard).map(({ name }) => name);
}"""


@pytest.mark.parametrize("case", CLIPBOARDS)
def test_paste_takes_images_and_ignores_text(modules: Page, case: str) -> None:
    files, texts, taken = CLIPBOARDS[case]
    assert modules.evaluate(PASTED_IMAGES, [files, texts]) == taken


IGNORED_PASTES = {
    "a word": ("", {"text/plain": "hello"}, "body"),
    "an address": ("", {"text/plain": "https://example.com/a.jpg"}, "body"),
    "text from Word": ("image.png", {"text/plain": "Dear", "text/html": "<p>Dear</p>"}, "body"),
    "cells from Excel": (
        "image.png",
        {"text/html": "<style>td {}</style><table><tr><td>7</td></tr></table>"},
        "body",
    ),
    "a picture pasted into a text field": ("image.png", {}, "#prompt"),
    "nothing": ("", {}, "body"),
}


@pytest.mark.parametrize("case", IGNORED_PASTES)
def test_pasted_text_adds_no_card_and_no_notice(page: Page, photo: Path, case: str) -> None:
    name, texts, where = IGNORED_PASTES[case]
    page.evaluate(PASTE, [transfer(page, photo, name, "image/png", texts), where])
    page.evaluate(PASTE, [transfer(page, photo, "after.jpg"), "body"])
    expect_described(page, "after.jpg")
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.locator("#notice")).to_be_hidden()


WRITE_CLIPBOARD = """async (texts) => {
  const canvas = document.createElement("canvas");
  const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const parts = { "image/png": png };
  for (const [kind, text] of Object.entries(texts)) parts[kind] = new Blob([text], { type: kind });
  await navigator.clipboard.write([new ClipboardItem(parts)]);
}"""


def test_paste_with_the_real_clipboard_takes_only_the_image(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_with_two_describers(page)
    page.evaluate(WRITE_CLIPBOARD, {"text/plain": "Dear", "text/html": "<p>Dear</p>"})
    page.keyboard.press("Control+V")
    page.evaluate(WRITE_CLIPBOARD, {"text/html": IMG})
    page.get_by_label("Prompt").focus()
    page.keyboard.press("Control+V")
    page.get_by_role("button", name="Choose images").focus()
    page.keyboard.press("Control+V")
    expect_described(page, "image.png")

    expect(page.get_by_role("article")).to_have_count(1)
