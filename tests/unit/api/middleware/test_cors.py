"""Tests of cross-origin requests, which browsers block unless the settings allow the origin."""

import httpx
import pytest
from api_fakes import LIMIT, picture
from fastapi import FastAPI
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.http_settings import HttpSettings

GALLERY, OTHER = "https://gallery.example.com", "https://other.example.com"


def client_of(app: FastAPI, *origins: str) -> httpx.AsyncClient:
    """Return a client for an API that allows requests from these origins."""
    served = add_middleware(app, HttpSettings(cors_origins=origins), app.state.metrics)
    return httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://api")


def preflight(
    origin: str, method: str = "POST", headers: str = "idempotency-key"
) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


def cors(response: httpx.Response) -> dict[str, str]:
    prefix = "access-control-"
    return {k.removeprefix(prefix): v for k, v in response.headers.items() if k.startswith(prefix)}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/describers"), ("GET", "/nothing"), ("OPTIONS", "/submit")]
)
async def test_cors_is_off_by_default(app: FastAPI, method: str, path: str) -> None:
    async with client_of(app) as client:
        for headers in ({"Origin": GALLERY}, preflight(GALLERY)):
            response = await client.request(method, path, headers=headers)
            assert cors(response) == {}
            assert "vary" not in response.headers


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [(GALLERY, GALLERY, GALLERY), (OTHER, GALLERY, None), ("*", GALLERY, "*")],
)
async def test_page_may_submit_only_if_its_origin_is_allowed(
    app: FastAPI, allowed: str, origin: str, expected: str | None
) -> None:
    async with client_of(app, allowed) as client:
        preflighted = await client.options("/submit", headers=preflight(origin))
        assert preflighted.is_success == (expected is not None)
        assert cors(preflighted).get("allow-origin") == expected
        assert {"GET", "HEAD", "POST", "PUT", "DELETE"} == set(
            cors(preflighted)["allow-methods"].split(", ")
        )
        assert "idempotency-key" in cors(preflighted)["allow-headers"].lower()

        form = {"file": ("photo.png", picture())}
        headers = {"Origin": origin, "Idempotency-Key": "once"}
        response = await client.post("/submit", files=form, headers=headers)
        assert response.status_code == 202
        assert cors(response).get("allow-origin") == expected
        assert {"Location", "Retry-After"} <= set(cors(response)["expose-headers"].split(", "))
        assert "allow-credentials" not in cors(response)


@pytest.mark.parametrize(("allowed", "status"), [(GALLERY, 200), (OTHER, 400)])
async def test_page_may_delete_from_the_inbox_only_if_its_origin_is_allowed(
    app: FastAPI, allowed: str, status: int
) -> None:
    async with client_of(app, allowed) as client:
        preflighted = await client.options("/inbox/a.png", headers=preflight(GALLERY, "DELETE"))
        assert preflighted.status_code == status
        response = await client.delete("/inbox/a.png", headers={"Origin": GALLERY})
        assert cors(response).get("allow-origin") == (GALLERY if status == 200 else None)


async def test_response_allows_only_the_origin_of_the_request(app: FastAPI) -> None:
    async with client_of(app, GALLERY, OTHER) as client:
        for origin in (GALLERY, OTHER):
            response = await client.get("/describers", headers={"Origin": origin})
            assert cors(response)["allow-origin"] == origin
            assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("headers", ["x-secret", "idempotency-key, x-secret"])
async def test_preflight_with_unknown_request_headers_is_refused(
    app: FastAPI, headers: str
) -> None:
    async with client_of(app, GALLERY) as client:
        response = await client.options("/submit", headers=preflight(GALLERY, headers=headers))
        assert response.status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_simple_requests_need_no_preflight(app: FastAPI, method: str) -> None:
    async with client_of(app, GALLERY) as client:
        response = await client.request(method, "/describers", headers={"Origin": GALLERY})
        assert response.is_success
        assert cors(response)["allow-origin"] == GALLERY


async def test_pages_from_allowed_origins_can_read_every_problem(
    app: FastAPI, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(name: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(jobs.imagejobs, "get", fail)
    too_large = {"file": ("photo.png", picture(noise=2 * LIMIT))}

    async with client_of(app, GALLERY) as client:
        origin = {"Origin": GALLERY}
        responses = [
            await client.get("/nothing", headers=origin),
            await client.get("/submit", headers=origin),
            await client.post("/submit", files=too_large, headers=origin),
            await client.post("/submit", content=b"x", headers=origin),
            await client.get("/status/job-x", headers=origin),
        ]

    assert [response.status_code for response in responses] == [404, 405, 413, 415, 500]
    for response in responses:
        assert cors(response)["allow-origin"] == GALLERY
        assert response.headers["content-type"] == "application/problem+json"
