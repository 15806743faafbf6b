"""A set of texts that takes 16 bytes for each, to find duplicates among a million customIds."""

import hashlib
import secrets
from array import array

FIRST_SLOTS = 1 << 12
"""Number of slots of an empty set. It is a power of two, as after each growth."""

KEY_BYTES = 16
"""Length of the random key of the hash. Without a key, an attacker could choose different texts
with the same digest."""


class DigestSet:
    """Remembers texts by 64 bits of a keyed hash, in a hash table with open addressing.

    At most half of the slots are in use: a million texts take 16 MiB, and 24 MiB while the table
    grows. The probability that any two of a million different texts have the same digest is 3 in
    100 million.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(KEY_BYTES)
        self._slots = _empty(FIRST_SLOTS)
        self._used = 0

    def add(self, text: str) -> bool:
        """Add the text, and return whether it is new."""
        digest = self._digest(text)
        place = _place(self._slots, digest)
        if self._slots[place]:
            return False

        self._slots[place] = digest
        self._used += 1
        if 2 * self._used > len(self._slots):
            self._grow()

        return True

    def _digest(self, text: str) -> int:
        found = hashlib.blake2b(text.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(found) or 1  # 0 is an empty slot

    def _grow(self) -> None:
        larger = _empty(2 * len(self._slots))
        for digest in self._slots:
            if digest:
                larger[_place(larger, digest)] = digest

        self._slots = larger


def _empty(slots: int) -> "array[int]":
    return array("Q", bytes(8 * slots))


def _place(slots: "array[int]", digest: int) -> int:
    """Return the slot with the digest or, if there is none, the empty slot for it."""
    mask = len(slots) - 1
    place = digest & mask
    while slots[place] not in {0, digest}:
        place = (place + 1) & mask

    return place
