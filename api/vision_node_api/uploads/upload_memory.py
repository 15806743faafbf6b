"""Keep track of the memory that uploads hold, without ever waiting."""

from collections.abc import Hashable

from ..web.owner_share import share_of


class UploadMemory:
    """The memory for uploads: a shared part, and a reserve that one upload at a time may use.

    The reserve is as large as the largest possible upload. When the shared part is full, the first
    upload that needs more memory moves completely into the reserve. One upload can therefore always
    finish, and uploads never block each other forever.

    One owner's uploads together get no more than its share of the shared part, so that those of
    others don't have to wait for them.
    """

    def __init__(self, shared_bytes: int, reserve_bytes: int) -> None:
        self._shared_bytes = shared_bytes
        self._reserve_bytes = reserve_bytes
        self._held: dict[Hashable, int] = {}
        self._owners: dict[Hashable, str] = {}
        """The owner of each upload that holds something and has one."""
        self._in_reserve: Hashable | None = None

    @property
    def held_bytes(self) -> int:
        """Number of bytes that all uploads hold together."""
        return sum(self._held.values())

    def resize(self, upload: Hashable, size: int, owner: str = "") -> bool:
        """Let `upload` hold `size` bytes if enough memory is free. Return whether there was enough.

        Otherwise, nothing changes. Reducing the size always succeeds, and a size of 0 also frees
        the reserve if the upload used it.

        Args:
            upload: What identifies the upload.
            size: Number of bytes.
            owner: The owner of the upload; empty if it has none, which has no share.
        """
        if size == 0:
            self._forget(upload)
            return True

        if not self._fits(upload, size, owner):
            return False

        self._held[upload] = size
        if owner:
            self._owners[upload] = owner
        return True

    def exceeds_share(self, upload: Hashable, size: int, owner: str) -> bool:
        """Return whether an upload of this size would exceed the share of its owner."""
        if not owner:
            return False

        outside = {upload, self._in_reserve}
        others = (it for it, its in self._owners.items() if its == owner and it not in outside)
        held = sum(self._held[it] for it in others)
        return held + size > share_of(self._shared_bytes)

    def _forget(self, upload: Hashable) -> None:
        self._held.pop(upload, None)
        self._owners.pop(upload, None)
        if self._in_reserve == upload:
            self._in_reserve = None

    def _fits(self, upload: Hashable, size: int, owner: str) -> bool:
        """Return whether enough memory is free.

        If only the reserve has enough memory, move the upload into it.
        """
        if size <= self._held.get(upload, 0):
            return True

        if upload == self._in_reserve:
            return size <= self._reserve_bytes

        is_free = self._shared_by_others(upload) + size <= self._shared_bytes
        if is_free and not self.exceeds_share(upload, size, owner):
            return True

        if self._in_reserve is None and size <= self._reserve_bytes:
            self._in_reserve = upload
            return True

        return False

    def _shared_by_others(self, upload: Hashable) -> int:
        outside = {upload, self._in_reserve}
        return sum(size for other, size in self._held.items() if other not in outside)
