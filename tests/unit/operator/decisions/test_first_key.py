"""Tests of the decision about a release's first API key."""

import pytest
from vision_node_operator.first_key import MADE, WANTED, FoundSecrets, Step, next_step, pending

NO_KEYS: dict[str, str] = {}
REVOKED = {"session-secret": "eA=="}
KEYS = {"key-aaaaaaaaaaaa": "e30=", **REVOKED}
PENDING = pending("aaaaaaaaaaaa")
THIS, OTHER, NOT_A_KEY = "aaaaaaaaaaaa", "bbbbbbbbbbbb", ""

PREPARE, USE, SETTLE, KEEP = Step.PREPARE, Step.USE, Step.SETTLE, Step.KEEP

TABLE = [
    # Without the Secret, nothing is known about any text.
    (None, "", None, PREPARE),
    (None, "", THIS, PREPARE),
    # Only a Secret that is empty and has no text never had a key.
    (NO_KEYS, "", None, PREPARE),
    (NO_KEYS, "", THIS, SETTLE),
    (NO_KEYS, "", NOT_A_KEY, SETTLE),
    (REVOKED, "", None, SETTLE),
    (REVOKED, "", THIS, SETTLE),
    # The Job that prepared a key has died.
    (NO_KEYS, PENDING, THIS, USE),
    (REVOKED, PENDING, THIS, USE),
    (NO_KEYS, PENDING, None, PREPARE),
    (NO_KEYS, PENDING, OTHER, PREPARE),
    (NO_KEYS, PENDING, NOT_A_KEY, PREPARE),
    (NO_KEYS, pending(""), NOT_A_KEY, PREPARE),
    (KEYS, PENDING, THIS, USE),
    (KEYS, PENDING, OTHER, PREPARE),
    # All keys were revoked.
    (NO_KEYS, MADE, None, KEEP),
    (NO_KEYS, MADE, THIS, KEEP),
    (REVOKED, MADE, THIS, KEEP),
    # There are keys.
    (KEYS, "", None, SETTLE),
    (KEYS, "", THIS, SETTLE),
    (KEYS, "", OTHER, SETTLE),
    (KEYS, MADE, None, KEEP),
    (KEYS, MADE, THIS, KEEP),
    (KEYS, MADE, OTHER, KEEP),
    # An administrator demands one.
    (NO_KEYS, WANTED, None, PREPARE),
    (REVOKED, WANTED, THIS, PREPARE),
    (KEYS, WANTED, THIS, PREPARE),
    # Another value is no reason to make a key.
    (KEYS, "unknown", THIS, SETTLE),
    (NO_KEYS, "unknown", None, SETTLE),
]


@pytest.mark.parametrize(("data", "mark", "text_id", "expected"), TABLE)
def test_next_step_toward_the_first_key(
    data: dict[str, str] | None, mark: str, text_id: str | None, expected: Step
) -> None:
    assert next_step(FoundSecrets(data, mark, text_id)) is expected
