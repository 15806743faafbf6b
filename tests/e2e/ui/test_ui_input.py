"""Tests of the page in a real browser: images that users choose or drop."""

import shutil
from pathlib import Path

import pytest
from pictures import encoded, halves
from playwright.sync_api import Page, expect

from ui.page import drop, expect_described, open_with_two_describers, transfer


def test_chosen_image_is_described(page: Page, photo: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files(photo)
    expect_described(page, photo.name)
    expect(page.get_by_role("status")).to_contain_text("done")


def test_describers_are_shown_if_there_are_several(page: Page, photo: Path) -> None:
    choice = page.get_by_label("Describer")
    known = [{"name": "metadata", "model": None, "ready": True, "default": True}]
    page.route("**/describers", lambda route: route.fulfill(json={"describers": known}))
    with page.expect_response("**/describers"):
        page.reload()
    for option in ("Describer", "Prompt", "Read text"):
        expect(page.get_by_label(option)).to_be_hidden()

    known.append({"name": "missing", "model": "gpt-x", "ready": False, "default": False})
    page.reload()

    expect(choice).to_have_value("metadata")

    choice.select_option("missing (gpt-x) – not ready")
    page.get_by_label("Prompt").fill("Which building?")
    page.get_by_label("Images", exact=True).set_input_files(photo)
    card = page.get_by_role("article", name=photo.name)

    expect(card.locator(".problem-detail")).to_contain_text("No describer is named 'missing'")


def test_default_describer_of_the_release_is_preselected(page: Page, photo: Path) -> None:
    page.context.unroute("**/describers")
    page.reload()
    choice = page.get_by_label("Describer")
    expect(choice).to_have_value("local")
    assert {"local", "metadata", "ocr"} <= set(choice.locator("option").all_inner_texts())

    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)


def test_dropped_image_is_described(page: Page, photo: Path) -> None:
    files = transfer(page, photo, "dropped.jpg")
    page.dispatch_event("body", "dragover", {"dataTransfer": files})
    expect(page.get_by_text("Drop to describe")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": files})
    expect(page.get_by_text("Drop to describe")).to_be_hidden()
    expect_described(page, "dropped.jpg")


def drag(page: Page, onto: str, *, text: str = "", files: tuple[Path, ...] = ()) -> None:
    """Simulate a drag and drop from outside the browser with real input events."""
    box = page.locator(onto).bounding_box()
    assert box

    items = [{"mimeType": "text/plain", "data": text}] if text else []
    data = {"items": items, "files": [str(file) for file in files], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)

    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": box["x"] + 9, "y": box["y"] + 9, "data": data}
        session.send("Input.dispatchDragEvent", event)


def test_dropped_folder_is_reported_and_images_dropped_with_it_are_described(
    page: Page, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "Holiday"
    folder.mkdir()
    drag(page, ".drop", files=(folder, photo))
    expect_described(page, photo.name)

    expect(page.locator("#notice")).to_have_text(
        "“Holiday” is a folder. Open it and drop the images inside."
    )
    expect(page.get_by_role("article")).to_have_count(1)


def test_text_can_be_dropped_only_into_a_text_field(page: Page) -> None:
    open_with_two_describers(page)
    drag(page, "#prompt", text="Which building?")
    expect(page.get_by_label("Prompt")).to_have_value("Which building?")
    drag(page, "h1", text="Which building?")
    expect(page.get_by_role("heading", level=1)).to_have_text("Describe an image")
    expect(page.locator("#notice")).to_be_hidden()


def test_dropped_text_is_ignored(page: Page, photo: Path) -> None:
    drop(page, transfer(page, photo, "", texts={"text/plain": "https://example.com"}))
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.get_by_role("article")).to_have_count(0)


@pytest.mark.parametrize(
    ("kind", "name"), [("HEIF", "photo.heic"), ("HEIF", "photo.HIF"), ("TIFF", "scan.tif")]
)
def test_image_that_the_browser_cannot_decode_is_described(
    page: Page, tmp_path: Path, kind: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(halves(), kind))
    drop(page, transfer(page, path, name, ""))
    expect_described(page, name)
    expect(page.locator(".no-preview")).to_be_visible()


def test_each_of_several_images_has_its_own_card(page: Page, photo: Path, tmp_path: Path) -> None:
    copies = [shutil.copy(photo, tmp_path / f"photo-{number}.jpg") for number in range(5)]
    page.get_by_label("Images", exact=True).set_input_files(copies)
    for number in range(5):
        expect_described(page, f"photo-{number}.jpg")
    expect(page.get_by_text("5 done", exact=True)).to_be_visible()


def test_unsupported_files_are_rejected_without_a_request(page: Page, tmp_path: Path) -> None:
    uploads: list[str] = []
    page.on(
        "request", lambda request: uploads.append(request.url) if request.method == "POST" else None
    )
    report = tmp_path / "report.pdf"
    report.write_bytes(b"%PDF-1.7")
    drop(page, transfer(page, report, "report.pdf", "application/pdf"))

    expect(page.get_by_text("Unsupported file type")).to_be_visible()
    assert uploads == []
