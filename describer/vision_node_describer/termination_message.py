"""What this worker would want known if it were killed: which ImageJobs it was describing.

Kubelet puts a container's termination message into the pod's status. Kept up to date while images
are described, it tells the operator which of them may have taken the worker down (one too large for
the memory, one that crashes a library), so that the others are not suspected.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

PATH = Path("/dev/termination-log")
"""Kubernetes' default terminationMessagePath: kubelet mounts a file there, whatever else is
read-only."""


class LastWords:
    """Keeps the message up to date: a UID a line. Kubelet takes the first 4096 bytes, 110 of them."""

    def __init__(self, path: Path = PATH) -> None:
        self._describing: list[str] = []
        self._file: int | None = None
        self._failed = False
        try:
            self._file = os.open(path, os.O_WRONLY)
        except OSError as error:
            log.warning("no termination message: %s", error)

    @contextmanager
    def describing(self, uid: str) -> Iterator[None]:
        """Name the ImageJob with this UID in the message as long as the block runs."""
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
            # In place and without fsync (6 µs): the file outlives the process, and that is all it
            # has to.
            os.pwrite(self._file, message, 0)
            os.ftruncate(self._file, len(message))
        except OSError as error:  # a full disk costs the message, not the attempt
            if not self._failed:
                log.warning("the termination message can't be written: %s", error)
            self._failed = True
