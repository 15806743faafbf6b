"""Tests of the routes that explain reasons, and of the links to them."""

from html.parser import HTMLParser

import httpx
import pytest
from starlette.types import ASGIApp
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.metrics import Metrics
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.problems import Problem
from vision_node_api.web.reasons import REGISTER

HTML = {"Accept": "text/html,*/*;q=0.8"}


class Tags(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_all_reasons_are_listed(client: httpx.AsyncClient) -> None:
    response = await client.get("/problems")
    assert response.status_code == 200
    assert [it["reason"] for it in response.json()["problems"]] == list(REGISTER)


async def test_a_reason_is_explained_as_json(client: httpx.AsyncClient) -> None:
    response = await client.get("/problems/JobNotFound")
    assert response.json() == {
        "reason": "JobNotFound",
        "statuses": [404],
        "title": "There is no such job",
        "happened": REGISTER["JobNotFound"].happened,
        "remedy": REGISTER["JobNotFound"].remedy,
        "repeatable": False,
        "places": [],
    }
    assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize("reason", REGISTER)
async def test_each_reason_has_a_page_without_scripts(
    client: httpx.AsyncClient, reason: str
) -> None:
    response = await client.get(f"/problems/{reason}", headers=HTML)
    page = Tags(response.text)

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert page.found.isdisjoint({"script", "style", "iframe"})
    assert page.open == []
    assert REGISTER[reason].happened in page.text
    assert REGISTER[reason].remedy in page.text


@pytest.mark.parametrize("headers", [{}, HTML])
async def test_an_unknown_reason_is_a_problem(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.get("/problems/<b>", headers=headers)
    assert (response.status_code, response.json()["reason"]) == (404, "ReasonNotFound")


async def test_problem_links_to_the_page_of_its_reason(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/status/unknown")).json()
    assert problem["title"] == "There is no such job"
    assert problem["type"] == "tag:vision-node.dev,2026:JobNotFound"
    assert (await client.get(problem["help"], headers=HTML)).status_code == 200


async def test_link_is_below_the_root_path(app: ASGIApp) -> None:
    served = add_middleware(app, HttpSettings(root_path="/vision"), Metrics())
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        problem = (await client.get("/vision/status/unknown")).json()
        assert problem["help"] == "/vision/problems/JobNotFound"
        assert (await client.get(problem["help"])).status_code == 200


def test_unknown_reasons_have_no_link() -> None:
    document = Problem(409, "OfACustomDescriber", "It failed.").document("/result/x")
    assert "help" not in document
    assert document["title"] == "Conflict"
