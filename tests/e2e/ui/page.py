"""Helpers for tests of the page: data transfers, calls to module functions, common checks."""

import base64
from pathlib import Path
from typing import Any

from playwright.sync_api import JSHandle, Page, expect

DESCRIBED_MS = 60_000
"""Time limit for a description. The first one may have to wait for a worker to start."""

MINUTE_MS = 60_000

CREATE_TRANSFER = """([content, name, type, texts]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  if (name) transfer.items.add(new File([bytes], name, { type }));
  for (const [kind, text] of Object.entries(texts)) transfer.setData(kind, text);
  return transfer;
}"""

PASTE = """([files, where]) => document.querySelector(where).dispatchEvent(
  new ClipboardEvent("paste", { clipboardData: files, bubbles: true }))"""


def transfer(
    page: Page,
    file: Path,
    name: str,
    media_type: str = "image/jpeg",
    texts: dict[str, str] | None = None,
) -> JSHandle:
    """Return a DataTransfer, as the page receives it when a user drops or pastes something.

    It contains the texts and the file. If the name is empty, it contains only the texts.
    """
    content = base64.b64encode(file.read_bytes()).decode()
    return page.evaluate_handle(CREATE_TRANSFER, [content, name, media_type, texts or {}])


def call(page: Page, module: str, function: str, *arguments: object) -> Any:
    """Call a function of one of the page's modules, and return its result."""
    script = """async ([module, name, given]) => {
      const functions = await import(new URL(`ui/${module}`, document.baseURI));
      return functions[name](...given);
    }"""
    return page.evaluate(script, [module, function, arguments])


def open_with_two_describers(page: Page) -> None:
    """Reload the page with two describers, so that it shows the prompt field."""
    both = [
        {"name": name, "model": None, "ready": True, "default": name == "metadata"}
        for name in ("metadata", "x")
    ]
    page.route("**/describers", lambda route: route.fulfill(json={"describers": both}))
    page.reload()
    expect(page.get_by_label("Prompt")).to_be_visible()


def drop(page: Page, files: JSHandle) -> None:
    """Drop a DataTransfer on the page."""
    page.dispatch_event("body", "dragover", {"dataTransfer": files})
    page.dispatch_event("body", "drop", {"dataTransfer": files})


def expect_described(page: Page, name: str) -> None:
    """Wait until the image with this name is described."""
    card = page.get_by_role("article", name=name)
    expect(card.get_by_text("Done", exact=True)).to_be_visible(timeout=DESCRIBED_MS)
    expect(card.locator(".result")).to_contain_text("Dimensions")
