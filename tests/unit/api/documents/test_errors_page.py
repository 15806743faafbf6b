"""Tests that docs/errors.md is what the register generates."""

from api_documents import errors_page
from vision_node_api.web.reasons import REGISTER


def test_errors_page_is_up_to_date() -> None:
    is_current = errors_page.PATH.read_text() == errors_page.errors_page()
    assert is_current, "docs/errors.md is stale. Run `make format`, and commit it."


def test_errors_page_has_a_heading_for_each_reason() -> None:
    headings = [line for line in errors_page.errors_page().splitlines() if line.startswith("### ")]
    assert headings == [f"### {reason}" for reason in REGISTER]
