"""Tests of the page's files.

The files must not contain third-party or inline code, and must not turn untrusted text into markup.
"""

import re
from pathlib import Path

import pytest
from vision_node_api import ui

FOLDER = Path(ui.__file__).parent
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in ui.MEDIA_TYPES)
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
PAGE = (FOLDER / "index.html").read_text()

# This URL only identifies an XML namespace. Browsers do not fetch it.
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


def name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_do_not_refer_to_other_sites(path: Path) -> None:
    text = path.read_text().replace(SVG_NAMESPACE, "")
    assert re.findall(r"(?:https?:|[\"'(])//[\w.-]+|@import|data:", text) == []


def test_page_has_no_inline_script_or_style() -> None:
    scripts = re.findall(r"<script[^>]*>([^<]*)", PAGE)
    assert scripts == [""]
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", PAGE) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_scripts_never_turn_text_into_markup_or_code(path: Path) -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function"
    )
    assert re.findall(forbidden, path.read_text()) == []


def test_every_linked_file_is_served() -> None:
    linked = set(re.findall(r'(?:href|src)="ui/([^"]+)"', PAGE))
    assert linked == set(ui.ASSETS)


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_every_imported_module_is_served(path: Path) -> None:
    imported = set(re.findall(r'from "\./([^"]+)"', path.read_text()))
    assert imported <= set(ui.ASSETS)


def test_every_element_used_by_scripts_is_on_the_page() -> None:
    used = {
        name
        for path in SCRIPTS
        for name in re.findall(r'(?:\$|getElementById)\("([\w-]+)"\)', path.read_text())
    }
    assert used
    assert used <= set(re.findall(r'id="([\w-]+)"', PAGE))
