"""Tests of what a client needs for each route, which is one table."""

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from secured import SecuredApi
from vision_node_api.app import build_app
from vision_node_api.middleware.route_requirements import RouteRequirements
from vision_node_api.routes.required_scopes import REQUIRED
from vision_node_api.web.access import Scope
from vision_node_api.web.root_path import OWN_PATHS

APP = build_app()
REQUIREMENTS = RouteRequirements(APP, REQUIRED)

PUBLIC_SEGMENTS = {
    "docs",
    "healthz",
    "openapi.json",
    "problems",
    "readyz",
    "session",
    "static-offline-docs",
    "ui",
}
"""First segments of the paths that everyone may use."""


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Return the method and the template of each route."""
    found = set()
    for route in iter_route_contexts(app.routes):
        methods: set[str] = getattr(route, "methods", None) or {"GET"}
        found |= {(method, str(route.path_format)) for method in methods - {"HEAD"}}

    return found


def test_every_route_says_what_a_client_needs() -> None:
    missing = routes_of(APP) - REQUIRED.keys()
    assert not missing, "add them to api/vision_node_api/routes/required_scopes.py"


def test_only_what_is_meant_for_everyone_is_public() -> None:
    public = {path.split("/")[1] for (_, path), it in REQUIRED.items() if it == "public"}
    assert public - {""} == PUBLIC_SEGMENTS


def test_what_changes_something_needs_more_than_reading() -> None:
    changing = {it for (method, path), it in REQUIRED.items() if method != "GET"}
    assert changing == {"submit", "admin", "public"}
    assert all(
        it in {"read", "any", "public", "admin"} for (m, _), it in REQUIRED.items() if m == "GET"
    )


REQUESTS: dict[str, tuple[str, str, str]] = {
    "a route": ("POST", "/submit", "submit"),
    "HEAD": ("HEAD", "/status/job-1", "read"),
    "HEAD of a public page": ("HEAD", "/ui", "public"),
    "OPTIONS": ("OPTIONS", "/submit", "public"),
    "a fixed path before one with parameters": ("POST", "/jobs/retry", "submit"),
    "the same path with another method": ("GET", "/jobs/retry", "read"),
    "a path with slashes in a parameter": ("GET", "/inbox/a/b.png", "read"),
    "a path that ends with a slash": ("GET", "/inbox/", "read"),
    "an image of a batch": ("PUT", "/batches/b/images/2024/cat.jpg", "submit"),
    "a file of the documentation": ("GET", "/static-offline-docs/swagger-ui.css", "public"),
    "another method of it": ("POST", "/static-offline-docs/swagger-ui.css", "admin"),
    "a redirect to a public page": ("GET", "/ui/", "public"),
    "a redirect of the root path": ("GET", "", "public"),
    "a redirect to another page": ("GET", "/limits/", "any"),
    "an unknown path": ("GET", "/nothing", "any"),
    "an unknown path below a public one": ("GET", "/ui/a/b", "any"),
    "an unknown method": ("BREW", "/ui", "any"),
    "a known method of another path": ("DELETE", "/submit", "any"),
    "a path in another case": ("GET", "/UI", "any"),
    "a path that only begins like a public one": ("GET", "/uix", "any"),
    "two slashes": ("GET", "//jobs", "any"),
    "a parent folder": ("GET", "/ui/../jobs", "any"),
    "keys": ("POST", "/keys", "admin"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_request_needs_what_the_route_that_answers_it_needs(case: str) -> None:
    method, path, required = REQUESTS[case]
    assert REQUIREMENTS.of(method, path) == required


def test_route_that_is_not_in_the_table_is_for_administrators() -> None:
    app = FastAPI()
    app.add_api_route("/new", lambda: None, methods=["GET"])
    assert RouteRequirements(app, {}).of("GET", "/new") == "admin"


@pytest.mark.parametrize("segment", sorted(OWN_PATHS - PUBLIC_SEGMENTS))
async def test_path_without_a_key_is_refused(secured_api: SecuredApi, segment: str) -> None:
    async with secured_api.client() as client:
        for method in ("GET", "POST", "PUT", "DELETE", "BREW"):
            for path in (f"/{segment}", f"/{segment}/", f"/{segment}/a", f"/{segment}/a/b"):
                response = await client.request(method, path)
                assert response.status_code == 401, (method, path)


async def test_public_paths_need_no_key(secured_api: SecuredApi) -> None:
    async with secured_api.client() as client:
        for path in (
            "/healthz",
            "/ui",
            "/ui/app.js",
            "/docs",
            "/openapi.json",
            "/problems/Forbidden",
        ):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/", "/ui/"):
            assert (await client.get(path)).status_code == 307


async def test_options_tells_the_methods_without_a_key(secured_api: SecuredApi) -> None:
    async with secured_api.client() as client:
        response = await client.options("/jobs/job-1")
        assert (response.status_code, response.headers["allow"]) == (
            204,
            "GET, HEAD, DELETE, OPTIONS",
        )


SCOPED = [key for key, it in REQUIRED.items() if it not in {"public", "any"}]


@pytest.mark.parametrize("operation", SCOPED)
async def test_route_is_refused_without_its_scope(
    secured_api: SecuredApi, operation: tuple[str, str]
) -> None:
    method, template = operation
    required = REQUIRED[operation]
    path = template.replace("{", "").replace("}", "")
    others: list[Scope] = [it for it in ("submit", "read") if it != required]
    key = secured_api.make_key("jane", others)

    async with secured_api.client(key) as client:
        response = await client.request(method, path)

    problem = response.json()
    assert (response.status_code, problem["reason"]) == (403, "Forbidden")
    assert f"needs the scope {required}" in problem["detail"]
    assert "'jane'" in problem["detail"]


async def test_clients_without_scopes_may_ask_who_they_are(secured_api: SecuredApi) -> None:
    key = secured_api.make_key("jane", ["submit"])
    async with secured_api.client(key) as client:
        assert await statuses(client, "/whoami", "/limits", "/describers") == [200, 200, 200]


async def statuses(client: httpx.AsyncClient, *paths: str) -> list[int]:
    return [(await client.get(path)).status_code for path in paths]
