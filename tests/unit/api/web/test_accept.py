"""Tests of the choice of a media type."""

import pytest
from vision_node_api.web.accept import choose_media_type

OFFERS = ("application/json", "text/html")
JSON, HTML = OFFERS

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html", HTML),
        ("TEXT/HTML", HTML),
        ("text/*", HTML),
        ("text/html;charset=utf-8", HTML),
        (FIREFOX, HTML),
        ("application/json", JSON),
        ("application/json, text/html", JSON),
        ("application/json;q=0.5, text/html", HTML),
        ("text/html;q=0.4, application/json;q=0.5", JSON),
        ("text/html;q=0.4, */*;q=0.3", HTML),
        ("text/html;q=0, */*", JSON),
        ("text/html;q=many, */*;q=0.1", JSON),
        ("image/png", JSON),
        (";;,,q=", JSON),
    ],
)
def test_preferred_media_type_is_chosen(accept: str, chosen: str) -> None:
    assert choose_media_type(accept, OFFERS) == chosen
