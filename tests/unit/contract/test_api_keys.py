"""Tests of API keys: their texts, and what is stored of them."""

import base64
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vision_node_contract.api_keys import (
    ApiKey,
    hash_key,
    is_key_id,
    key_id,
    new_key,
    read_keys,
)

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
ID = "abcdefghij23"
TEXT = f"vn_{ID}_{'a' * 52}"
STORED: dict[str, Any] = {
    "name": "gallery",
    "owner": "Team_a.b-c",
    "scopes": ["submit", "read"],
    "sha256": hash_key(TEXT),
    "createdAt": "2026-11-02T09:30:00Z",
    "expiresAt": None,
}


def encoded(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def test_new_keys_are_different_and_have_their_form() -> None:
    keys = [new_key() for _ in range(200)]
    assert len({text for _, text in keys}) == len({known_id for known_id, _ in keys}) == 200
    for known_id, text in keys:
        assert key_id(text) == known_id
        assert is_key_id(known_id)
        secret = text.rsplit("_", 1)[1].upper()
        assert len(base64.b32decode(secret + "====")) == 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vn_",
        TEXT[:-1],
        f"{TEXT}a",
        f" {TEXT}",
        f"{TEXT}\n",
        TEXT.upper(),
        TEXT.replace("_", "-"),
        f"vn_{ID}_{'1' * 52}",
        f"vn_{'ä' * 12}_{'a' * 52}",
        f"vn_{ID[:-1]}_{'a' * 53}",
    ],
)
def test_other_texts_have_no_id(text: str) -> None:
    assert key_id(text) is None


def test_stored_key_is_read_back() -> None:
    key = read_keys({f"key-{ID}": encoded(STORED)})[ID]
    assert key == ApiKey(
        name="gallery",
        owner="Team_a.b-c",
        scopes=["submit", "read"],
        sha256=hash_key(TEXT),
        created_at=NOW,
    )
    assert read_keys({f"key-{ID}": key.entry()}) == {ID: key}
    assert json.loads(base64.b64decode(key.entry())) == STORED


def test_members_of_newer_versions_are_ignored() -> None:
    assert read_keys({f"key-{ID}": encoded({**STORED, "note": "new"})})


UNREADABLE: dict[str, Any] = {
    "no JSON": "secret-text",
    "no object": [],
    "no name": {name: it for name, it in STORED.items() if name != "name"},
    "an empty owner": {**STORED, "owner": ""},
    "an owner that is no label": {**STORED, "owner": "secret-text "},
    "an unknown scope": {**STORED, "scopes": ["secret-text"]},
    "no scope": {**STORED, "scopes": []},
    "the text in place of its hash": {**STORED, "sha256": "secret-text"},
    "an invalid expiry": {**STORED, "expiresAt": "secret-text"},
    "an expiry without a time zone": {**STORED, "expiresAt": "2026-11-02T09:30:00"},
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_key_is_skipped_and_logged_by_its_id(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = "z" * 12
    data = {f"key-{ID}": encoded(UNREADABLE[case]), f"key-{other}": encoded(STORED)}
    assert read_keys(data).keys() == {other}
    assert ID in caplog.text
    assert "secret-text" not in caplog.text


def test_value_that_is_not_base64_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    assert read_keys({f"key-{ID}": "ä", f"key-{'z' * 12}": "a"}) == {}
    assert caplog.text.count("not base64") == 2


def test_entries_of_other_things_are_no_keys(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert read_keys({"session-secret": encoded("x"), "other": encoded(STORED)}) == {}
    assert caplog.text == ""
    assert read_keys({"key-short": encoded(STORED)}) == {}
    assert "key-short" not in caplog.text
    assert "'short'" in caplog.text


@pytest.mark.parametrize(("after", "expired"), [(-1, False), (0, True), (1, True)])
def test_key_expires_at_its_time(after: int, *, expired: bool) -> None:
    key = ApiKey.model_validate({**STORED, "expiresAt": NOW.isoformat()})
    assert key.is_expired(NOW + timedelta(seconds=after)) is expired


def test_key_without_an_expiry_never_expires() -> None:
    assert not ApiKey.model_validate(STORED).is_expired(datetime.max.replace(tzinfo=UTC))
