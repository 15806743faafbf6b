"""Tests of stolen, wrong and odd keys, and of how they are compared."""

import ast
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from api_server import Connection, serving
from http_requests import get
from secured import SecuredApi
from vision_node_api.services import auth
from vision_node_api.services.auth import refusals
from vision_node_api.web import http_protocol
from vision_node_contract import api_keys
from vision_node_contract.api_keys import key_id

MakeKey = Callable[..., str]


@pytest.fixture
async def port(secured_api: SecuredApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 0.0)
    async with serving(secured_api.served) as port:
        yield port


def bearer(text: str) -> bytes:
    return b"Authorization: Bearer " + text.encode("latin-1")


def wrong_keys(api: SecuredApi) -> dict[str, str]:
    """Return texts that are no valid key, by what is wrong."""
    right = api.make_key("jane")
    known = key_id(right) or ""
    return {
        "empty": "",
        "a word": "x",
        "an unknown id": f"vn_aaaaaaaaaaaa_{'a' * 52}",
        "another secret": f"vn_{known}_{'a' * 52}",
        "the last character": right[:-1] + ("a" if right[-1] != "a" else "b"),
        "in capitals": right.upper(),
        "too short": right[:-1],
        "too long": f"{right}a",
        "twice": right + right,
        "without its prefix": right.removeprefix("vn_"),
        "only the id": f"vn_{known}",
        "only the hash": api_keys.hash_key(right),
        "expired": api.make_key("joe", expires_at=datetime(2026, 1, 1, tzinfo=UTC)),
        "not ASCII": "vn_é",
        "a forged token": "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ2aXNpb24tbm9kZSJ9.",
        "8 kB": "a" * 8192,
        "10 kB": "a" * 10_000,
        "60 kB": "a" * 60_000,
    }


async def test_all_wrong_keys_get_the_same_answer(port: int, secured_api: SecuredApi) -> None:
    async with Connection.open(port) as connection:
        await connection.send(get("/jobs"))
        missing = await connection.response()
        assert (missing.status, missing.json["reason"]) == (401, "Unauthenticated")

        for case, text in wrong_keys(secured_api).items():
            await connection.send(get("/jobs", bearer(text)))
            answer = await connection.response()
            assert (answer.status, answer.body) == (401, missing.body), case
            ignored = {"date": None}
            assert answer.headers | ignored == missing.headers | ignored, case


async def test_endless_key_is_cut_off(port: int) -> None:
    async with Connection.open(port) as connection:
        await connection.send(b"GET /jobs HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer ")
        await connection.send(b"a" * http_protocol.MAX_HEAD_BYTES * 8)
        answer = await connection.response()
    assert (answer.status, answer.json["reason"]) == (431, "HeadersTooLarge")


async def test_stolen_key_ends_on_open_connections_as_soon_as_it_is_revoked(
    port: int, secured_api: SecuredApi, make_key: MakeKey
) -> None:
    stolen, admin = make_key("jane"), make_key("root", ["admin"])
    async with Connection.open(port) as thief, Connection.open(port) as owner:
        for connection in (thief, owner):
            await connection.send(get("/whoami", bearer(stolen)))
            assert (await connection.response()).status == 200

        await owner.send(get(f"/keys/{key_id(stolen)}", bearer(admin), method="DELETE"))
        assert (await owner.response()).status == 204
        for connection in (thief, owner):
            await connection.send(get("/whoami", bearer(stolen)))
            assert (await connection.response()).status == 401


async def test_key_can_not_give_itself_more_rights(port: int, make_key: MakeKey) -> None:
    key = bearer(make_key("jane"))
    for request in (
        get("/keys", key),
        get("/keys/aaaaaaaaaaaa", key, method="DELETE"),
        get("/keys", key, b"Content-Length: 0", method="POST"),
        get("/keys", key, b"X-Scopes: admin", b"Cookie: scopes=admin"),
    ):
        async with Connection.open(port) as connection:
            await connection.send(request)
            answer = await connection.response()
        assert (answer.status, answer.json["reason"]) == (403, "Forbidden")


SECRETS = ("sha256", "hash", "signature", "expected", "digest")
"""Parts of names of what must not be compared character by character."""


def sources() -> list[Path]:
    folder = Path(next(iter(auth.__path__)))
    return [*sorted(folder.glob("*.py")), Path(api_keys.__file__)]


def test_secrets_are_compared_in_constant_time() -> None:
    """A comparison with == would tell how many characters are right."""
    trees = [ast.parse(path.read_text()) for path in sources()]
    nodes = [node for tree in trees for node in ast.walk(tree)]

    compared = [
        ast.unparse(node)
        for node in nodes
        if isinstance(node, ast.Compare)
        and any(isinstance(it, ast.Eq | ast.NotEq) for it in node.ops)
    ]
    assert not [text for text in compared if any(it in text for it in SECRETS)]

    called = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    digests = [text for text in called if text.startswith("hmac.compare_digest(")]
    assert len(digests) == 2, "one comparison of keys, one of signatures"
