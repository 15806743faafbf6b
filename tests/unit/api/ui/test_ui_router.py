"""Tests of the page's router: the files that it serves, and their headers."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from vision_node_api import ui


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(ui.router)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://vision-node") as client:
        yield client


async def test_root_redirects_to_the_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/ui")


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/ui", "text/html; charset=utf-8"),
        ("/ui/style.css", "text/css; charset=utf-8"),
        ("/ui/app.js", "text/javascript; charset=utf-8"),
        ("/ui/icon.svg", "image/svg+xml"),
    ],
)
async def test_files_have_the_right_media_type(
    client: httpx.AsyncClient, path: str, media_type: str
) -> None:
    response = await client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)


@pytest.mark.parametrize("path", ["/ui", "/ui/app.js", "/ui/icon.svg"])
async def test_headers_forbid_third_party_code_and_framing(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_revalidation_of_the_current_version_gets_304(
    client: httpx.AsyncClient,
) -> None:
    first = await client.get("/ui/app.js")
    assert first.headers["cache-control"] == "no-cache"

    again = await client.get(
        "/ui/app.js", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


async def test_revalidation_of_an_outdated_version_gets_the_current_file(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/ui/app.js", headers={"If-None-Match": '"older"'})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "name", ["missing.js", "index.html", "__init__.py", "%2e%2e%2f__init__.py"]
)
async def test_unknown_names_get_404(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/ui/{name}")).status_code == 404
