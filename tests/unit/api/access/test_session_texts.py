"""Tests of the text of a session: only what was signed with the current secret is a session."""

import ast
import base64
import hmac
import inspect
import json
from dataclasses import replace

import pytest
from vision_node_api.services.auth import session_text
from vision_node_api.services.auth.identity import KubernetesUser
from vision_node_api.services.auth.session_text import (
    MAX_CHARACTERS,
    Session,
    SessionTooLongError,
)

SECRET, OTHER = b"s" * 32, b"o" * 32
NOW = 1_800_000_000.5
JANE = KubernetesUser("jane", ("system:authenticated", "grün"), "uid", (("scopes", ("a", "b")),))


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(content: bytes, secret: bytes = SECRET, version: str = "v1") -> str:
    """Sign arbitrary content as the API does."""
    head = f"{version}.{encoded(content)}"
    signature = hmac.digest(secret, b"vision-node page session\0" + head.encode(), "sha256")
    return f"{head}.{encoded(signature)}"


@pytest.mark.parametrize(
    "session",
    [
        Session.of_key("abcdefghij23", NOW),
        Session.of_user(JANE, NOW, NOW + 60),
    ],
)
def test_signed_session_is_read_back(session: Session) -> None:
    text = session.signed(SECRET)
    assert Session.parse(text, SECRET) == session
    assert text.isascii()
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_sessions_of_the_same_key_are_different() -> None:
    texts = {Session.of_key("abcdefghij23", NOW).signed(SECRET) for _ in range(20)}
    assert len(texts) == 20


def test_another_secret_makes_a_session_invalid() -> None:
    text = Session.of_key("abcdefghij23", NOW).signed(SECRET)
    assert Session.parse(text, OTHER) is None


def test_each_changed_character_makes_a_session_invalid() -> None:
    text = Session.of_key("abcdefghij23", NOW).signed(SECRET)
    for index, character in enumerate(text):
        other = "A" if character != "A" else "B"
        assert Session.parse(text[:index] + other + text[index + 1 :], SECRET) is None


FORGED = {
    "nothing": "",
    "dots": "..",
    "one part": "v1",
    "no signature": "v1.e30.",
    "not ASCII": "v1.é.é",
    "a NUL": "v1.\0.\0",
    "the content of a key": encoded(b'{"at":1,"key":"a"}'),
    "an API key": f"vn_abcdefghij23_{'a' * 52}",
    "too long": "v1." + "a" * 10_000,
    "a signature without the purpose": "v1.e30."
    + encoded(hmac.digest(SECRET, b"v1.e30", "sha256")),
    "an empty secret": signed(b'{"id":"x","at":1,"key":"a"}', b""),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_text_is_no_session(case: str) -> None:
    assert Session.parse(FORGED[case], SECRET) is None


UNREADABLE = {
    "another version": signed(b'{"id":"x","at":1,"key":"a"}', version="v2"),
    "no JSON": signed(b"\xff"),
    "no object": signed(b"[]"),
    "no time": signed(b'{"id":"x","key":"a"}'),
    "an unknown member": signed(b'{"id":"x","at":1,"key":"a","admin":true}'),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_session_of_another_version_of_the_api_is_no_session(case: str) -> None:
    assert Session.parse(UNREADABLE[case], SECRET) is None


def test_extra_padding_makes_no_second_text_of_a_session() -> None:
    text = Session.of_key("abcdefghij23", NOW).signed(SECRET)
    for other in (f"{text}=", f" {text}", f"{text}\n", text.replace(".", "=.", 1)):
        assert Session.parse(other, SECRET) is None


def test_session_contains_no_secret() -> None:
    _, content, _ = Session.of_key("abcdefghij23", NOW).signed(SECRET).split(".")
    members = json.loads(base64.urlsafe_b64decode(content + "=="))
    assert members.keys() == {"id", "at", "key"}


def test_session_that_does_not_fit_into_a_cookie_is_refused() -> None:
    groups = tuple(f"group-{index}" for index in range(400))
    with pytest.raises(SessionTooLongError):
        Session.of_user(replace(JANE, groups=groups), NOW, NOW + 60).signed(SECRET)

    fitting = Session.of_user(replace(JANE, groups=groups[:150]), NOW, NOW + 60).signed(SECRET)
    assert len(fitting) <= MAX_CHARACTERS


def test_signatures_are_compared_in_constant_time() -> None:
    """A comparison with == would tell how many characters of a forged signature are right."""
    tree = ast.parse(inspect.getsource(session_text))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "hmac.compare_digest" in called

    compared = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    assert not [text for text in compared if "signature" in text or "expected" in text]
