"""Keep track of the memory that uploads hold, without ever waiting."""

from collections.abc import Hashable


class UploadMemory:
    """The memory for uploads: a shared part, and a reserve that one upload at a time may use.

    The reserve is as large as the largest possible upload. When the shared part is full, the first
    upload that needs more memory moves completely into the reserve. One upload can therefore always
    finish, and uploads never block each other forever.
    """

    def __init__(self, shared_bytes: int, reserve_bytes: int) -> None:
        self._shared_bytes = shared_bytes
        self._reserve_bytes = reserve_bytes
        self._held: dict[Hashable, int] = {}
        self._in_reserve: Hashable | None = None

    @property
    def held_bytes(self) -> int:
        """Number of bytes that all uploads hold together."""
        return sum(self._held.values())

    def resize(self, upload: Hashable, size: int) -> bool:
        """Let `upload` hold `size` bytes if enough memory is free. Return whether there was enough.

        Otherwise, nothing changes. Reducing the size always succeeds, and a size of 0 also frees
        the reserve if the upload used it.
        """
        if size == 0:
            self._forget(upload)
            return True

        if not self._fits(upload, size):
            return False

        self._held[upload] = size
        return True

    def _forget(self, upload: Hashable) -> None:
        self._held.pop(upload, None)
        if self._in_reserve == upload:
            self._in_reserve = None

    def _fits(self, upload: Hashable, size: int) -> bool:
        """Return whether enough memory is free.

        If only the reserve has enough memory, move the upload into it.
        """
        if size <= self._held.get(upload, 0):
            return True

        if upload == self._in_reserve:
            return size <= self._reserve_bytes

        if self._shared_by_others(upload) + size <= self._shared_bytes:
            return True

        if self._in_reserve is None and size <= self._reserve_bytes:
            self._in_reserve = upload
            return True

        return False

    def _shared_by_others(self, upload: Hashable) -> int:
        outside = {upload, self._in_reserve}
        return sum(size for other, size in self._held.items() if other not in outside)
