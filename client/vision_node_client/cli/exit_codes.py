"""The exit codes of the command, which docs/client.md documents."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command has done."""

    DONE = 0
    """All images were described."""
    FAILED = 1
    """Some images were not described."""
    USAGE = 2
    """The arguments are invalid, or a file on this machine can't be read or written."""
    UNREACHABLE = 3
    """The server did not respond."""
    REFUSED = 4
    """The server refused the request."""
    INTERRUPTED = 130
    """Ctrl-C."""


class UsageError(Exception):
    """The arguments do not fit what is on this machine."""
