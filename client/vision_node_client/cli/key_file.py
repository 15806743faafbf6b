"""The file with the API key that the command line names.

A key on the command line itself would be visible to everyone on the machine.
"""

import sys
from pathlib import Path

from ..api_key import KeySource, checked

STDIN = "-"

MAX_CHARACTERS = 20_000
"""Number of characters that are read of a file. Longer keys are refused, and a wrong file, such as
a device, could be endless."""


def key_source(path: str | None) -> KeySource | None:
    """Return the key in a file; None if the command line names none.

    The file is read again for each request, because tokens in files are replaced before they
    expire. Stdin is read once.

    Raises:
        OSError: The file can't be read.
        ValueError: It has no key.
    """
    if path is None:
        return None
    if path == STDIN:
        return checked(sys.stdin.read(MAX_CHARACTERS))

    def read() -> str:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_CHARACTERS)

    checked(read())  # before anything is sent
    return read
