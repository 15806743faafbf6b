"""Tests that each route refuses query parameters that it does not have, but pages and probes."""

from collections.abc import Iterator

import httpx
import pytest
from api_fakes import picture
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from vision_node_api.app import build_app
from vision_node_api.web.unknown_names import unknown_name
from vision_node_contract.clients.kube import WatchEvent

TOLERANT = {
    *("/", "/ui", "/ui/{name}", "/docs", "/docs/oauth2-redirect"),
    *("/healthz", "/readyz", "/problems", "/problems/{reason}"),
}
"""Paths of pages and probes, to which clients add parameters against caches."""

OPTIONS = {("POST", "/submit"), ("POST", "/batches"), ("POST", "/jobs/{job_id}/retry")}
"""Routes that take options in the query."""


def routes() -> Iterator[tuple[str, str]]:
    """Yield the method and the path of each route."""
    for context in iter_route_contexts(build_app().routes):
        if isinstance(context.original_route, APIRoute):
            for method in context.methods or ():
                yield method, str(context.path_format)


STRICT = sorted(it for it in routes() if it[1] not in TOLERANT)
METHODS = [*STRICT, *(("HEAD", path) for method, path in STRICT if method == "GET")]


def path_of(template: str) -> str:
    """Return a path that matches a template."""
    return template.replace("{", "").replace("}", "")


@pytest.mark.parametrize(("method", "template"), METHODS)
async def test_unknown_parameter_is_refused(
    client: httpx.AsyncClient, method: str, template: str
) -> None:
    response = await client.request(method, f"{path_of(template)}?describr=ocr")
    assert response.status_code == 422
    if method == "HEAD":
        return

    problem = response.json()
    is_option = (method, template) in OPTIONS
    assert problem["reason"] == ("OptionsInvalid" if is_option else "InvalidRequest")
    assert problem["detail"].startswith("The query parameter 'describr' is unknown. ")
    assert ("Did you mean describer?" in problem["detail"]) == ("describer" in problem["detail"])


@pytest.mark.parametrize(
    "path", ["/", "/ui", "/ui/icon.svg", "/docs", "/openapi.json", "/healthz", "/readyz"]
)
async def test_pages_and_probes_ignore_parameters(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == (await client.get(f"{path}?_=1")).status_code


@pytest.mark.parametrize("path", ["/problems", "/problems/NotFound"])
async def test_explanations_ignore_parameters(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"{path}?_=1")).status_code == 200


async def test_cached_status_refuses_parameters(app: FastAPI, client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "image/png"}
    job_id = (await client.post("/submit", content=picture(), headers=headers)).json()["job_id"]
    job = await app.state.jobs.cache.get(job_id)
    app.state.jobs.cache.observe(WatchEvent("ADDED", [job.to_json()]))

    assert (await client.get(f"/status/{job_id}")).status_code == 200
    assert (await client.get(f"/status/{job_id}?wait=30")).status_code == 422
    # Libraries for browsers add it, so that no cache answers.
    assert (await client.get(f"/status/{job_id}?_=1764233280")).status_code == 200


async def test_known_parameters_are_listed_with_those_of_dependencies(
    client: httpx.AsyncClient,
) -> None:
    detail = (await client.get("/events?lastEventID=1-2")).json()["detail"]
    assert detail.startswith("The query parameter 'lastEventID' is unknown. Did you mean lastEvent")
    known = detail.removesuffix(".").partition("Known: ")[2].split(", ")
    assert sorted(known) == ["batch", "describer", "label", "lastEventId", "phase"]


@pytest.mark.parametrize(
    ("known", "detail"),
    [
        ([], "The name 'a' is unknown. There is no name here."),
        (["zzz"], "The name 'a' is unknown. Known: zzz."),
        (["b", "A"], "The name 'a' is unknown. Did you mean A? Known: b, A."),
    ],
)
def test_sentences(known: list[str], detail: str) -> None:
    assert unknown_name("name", "a", known) == detail
