"""Tests that no other page can act in the name of a user of the page, or read what it sees."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from access.page_session import ORIGIN, log_in, with_session
from api_fakes import Cluster, FakeBucket, picture
from fakes.keys_api import KeysApi
from fastapi import FastAPI
from secured import SecuredApi, secured
from vision_node_api.routes.required_scopes import REQUIRED
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.required_scope import PUBLIC
from vision_node_api.web.same_origin import SAFE_METHODS

GALLERY = "https://gallery.example.com"

ENDLESS = ("/events",)
"""Ends of paths whose responses don't end."""

Route = tuple[str, str]


def path_of(template: str) -> str:
    """Return a path that fits the template of a route."""
    return template.replace("{", "x").replace("}", "")


PROTECTED: list[Route] = [
    (method, path_of(template)) for (method, template), it in REQUIRED.items() if it != PUBLIC
]
CHANGING = [(method, path) for method, path in PROTECTED if method not in SAFE_METHODS]
READING = [
    (method, path)
    for method, path in PROTECTED
    if method in SAFE_METHODS and not path.endswith(ENDLESS)
]

FOREIGN: dict[str, dict[str, str]] = {
    "no origin": {},
    "an opaque origin": {"Origin": "null"},
    "another host": {"Origin": "http://evil.example"},
    "another port": {"Origin": "http://api:8080"},
    "another page of the same site": {"Origin": "http://api", "Sec-Fetch-Site": "same-site"},
    "another page's referrer": {"Referer": "http://evil.example/http://api"},
    "a host of its choice": {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"},
    "a form of another page": {
        "Origin": "http://evil.example",
        "Content-Type": "application/x-www-form-urlencoded",
    },
}


@pytest.fixture
async def client(secured_api: SecuredApi) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends no key, no cookie and no Origin by itself."""
    async with secured_api.client() as client:
        yield client


@pytest.fixture
async def cookie(client: httpx.AsyncClient, make_key: Callable[..., str]) -> dict[str, str]:
    """The header with a session of an administrator."""
    response = await client.post(
        "/session", json={"key": make_key("root", ["admin"])}, headers=ORIGIN
    )
    assert response.status_code == 204
    text = client.cookies["vision_node_session"]
    client.cookies.clear()
    return with_session(text)


def reason_of(response: httpx.Response) -> str:
    """Return the reason of a problem; "" if the response is none."""
    is_problem = response.headers.get("content-type") == "application/problem+json"
    return str(response.json()["reason"]) if is_problem else ""


def test_table_has_routes_of_all_kinds() -> None:
    assert {method for method, _ in CHANGING} == {"POST", "PUT", "DELETE"}
    assert len(CHANGING) > 15
    assert len(READING) > 15


@pytest.mark.parametrize("case", FOREIGN)
async def test_other_pages_can_change_nothing(
    client: httpx.AsyncClient,
    cookie: dict[str, str],
    cluster: Cluster,
    bucket: FakeBucket,
    case: str,
) -> None:
    for method, path in CHANGING:
        response = await client.request(method, path, headers={**cookie, **FOREIGN[case]})
        assert (response.status_code, reason_of(response)) == (403, "OriginNotAllowed"), path

    form = {"file": ("photo.png", picture())}
    headers = {**cookie, **FOREIGN[case]}
    headers.pop("Content-Type", None)
    response = await client.post("/submit", files=form, headers=headers)
    assert reason_of(response) == "OriginNotAllowed"
    assert (cluster.jobs, bucket.objects) == ({}, {})


@pytest.mark.parametrize("method", ["PATCH", "PROPFIND", "FOO"])
async def test_unknown_methods_count_as_changes(
    client: httpx.AsyncClient, cookie: dict[str, str], method: str
) -> None:
    response = await client.request(method, "/jobs", headers=cookie)
    assert reason_of(response) == "OriginNotAllowed"


async def test_page_itself_can_change_things(
    client: httpx.AsyncClient, cookie: dict[str, str], cluster: Cluster
) -> None:
    for own in (ORIGIN, {"Sec-Fetch-Site": "same-origin"}, {"Referer": "http://api/ui"}):
        for method, path in CHANGING:
            response = await client.request(method, path, headers={**cookie, **own})
            assert reason_of(response) not in {"OriginNotAllowed", "Unauthenticated"}, path

    form = {"file": ("photo.png", picture())}
    response = await client.post("/submit", files=form, headers={**cookie, **ORIGIN})
    assert response.status_code == 202
    assert len(cluster.jobs) == 1


async def test_programs_with_a_key_need_no_origin(
    client: httpx.AsyncClient, cookie: dict[str, str], make_key: Callable[..., str]
) -> None:
    """Other pages can't send the header without the key, and then they need no cookie."""
    bearer = {"Authorization": f"Bearer {make_key('joe')}"}
    form = {"file": ("photo.png", picture())}
    for headers in (bearer, {**bearer, **cookie}, {**bearer, "Origin": GALLERY}):
        response = await client.post("/submit", files=form, headers=headers)
        assert response.status_code in {200, 202}


@pytest.mark.parametrize("case", FOREIGN)
async def test_other_pages_can_neither_log_in_nor_out(
    client: httpx.AsyncClient, cookie: dict[str, str], make_key: Callable[..., str], case: str
) -> None:
    """A user whom another page has logged in would upload images to the attacker's account."""
    key = make_key("attacker")
    headers = {"Content-Type": "application/json", **FOREIGN[case]}
    for content in (f'{{"key": "{key}"}}', f"key={key}"):
        response = await client.post("/session", content=content, headers={**cookie, **headers})
        assert (response.status_code, reason_of(response)) == (403, "OriginNotAllowed")
        assert "set-cookie" not in response.headers

    response = await client.delete("/session", headers={**cookie, **FOREIGN[case]})
    assert (response.status_code, "set-cookie" in response.headers) == (403, False)


async def test_reading_changes_nothing(
    client: httpx.AsyncClient,
    cookie: dict[str, str],
    cluster: Cluster,
    bucket: FakeBucket,
    secured_api: SecuredApi,
) -> None:
    """Other pages can cause GET requests with the cookie, for example by links."""
    form = {"file": ("photo.png", picture())}
    answer = await client.post("/submit", files=form, headers={**cookie, **ORIGIN})
    job = answer.json()["job_id"]

    def state() -> list[Any]:
        stored = (cluster.jobs, cluster.batches, bucket.objects, secured_api.cluster.data)
        return [dict(it or {}) for it in stored]

    before = state()
    for _, path in READING:
        for target in {path, path.replace("xjob_id", job).replace("xname", "a")}:
            for method in ("GET", "HEAD", "OPTIONS"):
                response = await client.request(method, target, headers=cookie)
                assert response.status_code not in {401, 403, 500}, target

    assert state() == before
    assert cluster.batch_changes == []


@pytest.mark.parametrize("allowed", [GALLERY, "*"])
async def test_answers_never_allow_other_pages_to_use_the_cookie(
    app: FastAPI, allowed: str
) -> None:
    http = HttpSettings(cors_origins=(allowed,))
    async with secured(app, KeysApi(), http) as api, api.client() as client:
        text = await log_in_with_origin(client, api)
        headers = {**with_session(text), "Origin": GALLERY}
        preflight = {
            "Origin": GALLERY,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        answers = [
            await client.get("/whoami", headers=headers),
            await client.get("/nothing", headers=headers),
            await client.get("/whoami", headers={"Origin": GALLERY}),
            await client.post("/submit", headers=headers),
            await client.post("/session", json={"key": "x"}, headers=headers),
            await client.delete("/session", headers=headers),
            await client.options("/submit", headers=preflight),
            await client.options("/session", headers=preflight),
        ]

    assert [it.status_code for it in answers] == [200, 404, 401, 403, 403, 403, 200, 200]
    for answer in answers:
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers


async def log_in_with_origin(client: httpx.AsyncClient, api: SecuredApi) -> str:
    client.headers.update(ORIGIN)
    text = await log_in(client, api.make_key("jane"))
    del client.headers["Origin"]
    client.cookies.clear()
    return text
