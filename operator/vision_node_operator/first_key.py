"""Decide what the next step is toward a release's first API key. This module does no I/O.

Two Secrets are involved: that with the hashes of all keys, and that with the text of the first key.
An annotation of the former (FIRST_KEY) says how far its first key has come. Both the annotation and
the key's hash change in one write, so that a text is put into use once at most:

| keys in the Secret | FIRST_KEY | text | next step |
|---|---|---|---|
| there is no Secret | | any | PREPARE a new key |
| no | none | none | PREPARE: the Secret is empty, so it never had a key |
| no | none | any | SETTLE: the keys that it had were revoked |
| no | made | any | KEEP: all keys were revoked on purpose |
| yes | none | any | SETTLE: no first key is needed |
| yes | made | any | KEEP |
| any | pending | of the pending key | USE it: the Job that prepared it has died |
| any | pending | none, or another | PREPARE: the text of the pending key is lost |
| any | wanted | any | PREPARE: an administrator demands one |

A text is used only while its key is pending, so it never is again after its key was revoked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from vision_node_contract.names import GROUP

FIRST_KEY = f"{GROUP}/first-key"
"""Annotation of the Secret with the hashes. It is MADE, WANTED, or `pending-<id>` while the key
with this id is prepared but not in use yet."""

MADE = "made"
"""Value of FIRST_KEY: the release had a key, so no first key is made again."""

WANTED = "wanted"
"""Value of FIRST_KEY with which an administrator demands another first key."""

_PENDING_PREFIX = "pending-"


class Step(Enum):
    """The next step."""

    PREPARE = "mark a new key as pending, and store its text"
    USE = "store the hash of the pending key"
    SETTLE = "note that the release had a key"
    KEEP = "change nothing"


@dataclass(frozen=True, slots=True)
class FoundSecrets:
    """What is stored about the keys of a release."""

    data: Mapping[str, str] | None
    """The data of the Secret with the hashes; None if there is no such Secret."""
    mark: str = ""
    """The value of its annotation FIRST_KEY; empty without one."""
    text_id: str | None = None
    """The id in the text of the first key; empty if this is no key, None without its Secret."""


def pending(key_id: str) -> str:
    """Return the value of FIRST_KEY while the key with this id is prepared."""
    return f"{_PENDING_PREFIX}{key_id}"


def next_step(found: FoundSecrets) -> Step:
    """Return the next step. After PREPARE and USE, a release has a first key that works."""
    if found.data is None or found.mark == WANTED:
        return Step.PREPARE
    if found.mark.startswith(_PENDING_PREFIX):
        return Step.USE if found.text_id and found.mark == pending(found.text_id) else Step.PREPARE
    if found.mark == MADE:
        return Step.KEEP

    was_never_used = not found.data and found.text_id is None and not found.mark
    return Step.PREPARE if was_never_used else Step.SETTLE
