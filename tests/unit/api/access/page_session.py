"""Requests as the page in a browser sends them."""

from http.cookies import SimpleCookie

import httpx
from secured import SecuredApi
from vision_node_api.web.session_cookie import NAME

ORIGIN = {"Origin": "http://api"}
"""The header of a page that the test's API has served."""


def page_client(api: SecuredApi) -> httpx.AsyncClient:
    """Return a client that keeps cookies and sends the page's Origin."""
    transport = httpx.ASGITransport(api.served)
    return httpx.AsyncClient(transport=transport, base_url="http://api", headers=ORIGIN)


async def log_in(client: httpx.AsyncClient, key: str) -> str:
    """Trade a key for a session, which the client keeps, and return its text."""
    response = await client.post("/session", json={"key": key})
    assert response.status_code == 204, response.text
    return cookie_of(response)


def cookie_of(response: httpx.Response) -> str:
    """Return the session that a response sets."""
    return SimpleCookie(response.headers["set-cookie"])[NAME].value


def with_session(*texts: str) -> dict[str, str]:
    """Return the header of a request with these sessions."""
    return {"Cookie": "; ".join(f"{NAME}={text}" for text in texts)}


async def status(client: httpx.AsyncClient, *texts: str) -> int:
    """Return the status of the response to a request with these sessions."""
    return (await client.get("/whoami", headers=with_session(*texts))).status_code
