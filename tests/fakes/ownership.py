"""A fake of the operator's check of who owns the folders in the bucket."""


class FakeOwnership:
    """Says that the folders belong to this release, unless `refuses` is set."""

    def __init__(self) -> None:
        self.refuses: Exception | None = None
        self.was_checked = True
        self.is_ours: bool | None = True

    async def require(self) -> None:
        """Raise `refuses` if it is set."""
        if self.refuses:
            raise self.refuses
