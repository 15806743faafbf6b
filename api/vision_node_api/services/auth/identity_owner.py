"""Derive an owner, which is the value of a label, from the name of a user of Kubernetes."""

import re
from hashlib import sha256

from vision_node_contract.api_keys import OWNER_PATTERN

_ACCOUNT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")
_OWNER = re.compile(OWNER_PATTERN)
_HASH_DIGITS = 32
"""Hexadecimal digits of a hash in an owner: 128 bits, so that no one can find two users with the
same owner."""


def owner_of(username: str) -> str:
    """Return the owner of what a user creates.

    That of a service account is `sa-<namespace>.<name>`, unless this is too long for a label.
    Namespaces contain no dots, so no two accounts have the same. Names of other users may have any
    characters, so the owner is `user-` and a hash.
    """
    digest = sha256(username.encode()).hexdigest()[:_HASH_DIGITS]
    account = _ACCOUNT.fullmatch(username)
    if account is None:
        return f"user-{digest}"

    readable = f"sa-{account[1]}.{account[2]}"
    return readable if _OWNER.fullmatch(readable) else f"sa-{digest}"
