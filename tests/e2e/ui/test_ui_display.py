"""Tests of the page in a real browser: results, history, accessibility and layout."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from ui.page import DESCRIBED_MS, expect_described

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


def test_description_is_marked_with_its_language(page: Page, photo: Path) -> None:
    page.route("**/result/**", lambda route: route.fulfill(json=RESULT))
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect(page.locator(".caption")).to_have_attribute("lang", "de", timeout=DESCRIBED_MS)
    expect(page.locator(".description")).to_have_attribute("lang", "de")


def test_servers_on_one_site_have_separate_histories(page: Page, url: str, photo: Path) -> None:
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)
    page.route(
        f"{url}/other/**",
        lambda route: route.fulfill(response=route.fetch(url=without_other(route, url))),
    )
    page.goto(f"{url}/other/ui")

    expect(page.locator("#formats")).to_contain_text("JPEG")
    expect(page.locator("#terminal-submit")).to_have_text(
        f"curl -F file=@photo.jpg {url}/other/submit"
    )
    expect(page.get_by_role("article")).to_have_count(0)

    page.goto(f"{url}/ui")
    expect_described(page, photo.name)


def without_other(route: Route, url: str) -> str:
    return route.request.url.replace(f"{url}/other/", f"{url}/", 1)


def test_reload_keeps_the_session(page: Page, photo: Path) -> None:
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)
    page.reload()
    expect_described(page, photo.name)
    expect(page.locator(".preview img")).to_be_visible()


def test_page_can_be_used_with_the_keyboard(page: Page, photo: Path) -> None:
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
def test_nothing_overflows_the_viewport(page: Page, photo: Path, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_label("Images", exact=True).set_input_files(photo)
    expect_described(page, photo.name)
    page.get_by_text("curl, kubectl and JSON").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_malicious_file_name_is_quoted_in_commands(page: Page) -> None:
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


def test_api_docs_load_nothing_from_other_sites(browser: Browser, url: str) -> None:
    page = browser.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{url}/docs")
    page.get_by_text("/submit", exact=True).wait_for()
    page.close()
    assert [address for address in requested if not address.startswith((url, "data:"))] == []
