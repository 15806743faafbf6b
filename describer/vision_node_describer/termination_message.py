"""Maintain the container's termination message: a list of the images being described.

When a worker is killed, the kubelet copies the message into the pod's status. The operator then
knows which images may have crashed the worker, either because they took too much memory or because
they crashed a library. It does not suspect other images.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

PATH = Path("/dev/termination-log")
"""Kubernetes' default terminationMessagePath. The kubelet mounts a writable file there, even if the
root file system is read-only."""


class TerminationMessage:
    """Keeps the message up to date, with the UID of one ImageJob per line.

    The kubelet reads at most 4096 bytes, which is enough for 110 UIDs.
    """

    def __init__(self, path: Path = PATH) -> None:
        self._describing: list[str] = []
        self._file: int | None = None
        self._failed = False
        try:
            self._file = os.open(path, os.O_WRONLY)
        except OSError as error:
            log.warning("the termination message can't be opened: %s", error)

    @contextmanager
    def describing(self, uid: str) -> Iterator[None]:
        """List an ImageJob's UID in the message while the block runs."""
        self._describing.append(uid)
        self._write()
        try:
            yield
        finally:
            self._describing.remove(uid)
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return

        message = "\n".join(self._describing).encode()
        try:
            # The file only has to outlive the process, so fsync is not needed. Without fsync, a
            # write takes 6 µs.
            os.pwrite(self._file, message, 0)
            os.ftruncate(self._file, len(message))
        except OSError as error:  # a full disk must not make the attempt fail
            if not self._failed:
                log.warning("the termination message can't be written: %s", error)
            self._failed = True
