"""Act for an owner, as the middleware lets a request do."""

from contextlib import AbstractContextManager

from vision_node_api.web.access import Access, using_access


def acting(owner: str) -> AbstractContextManager[None]:
    """Answer a request of a client of this owner during the block."""
    return using_access(Access(owner, frozenset({"submit", "read"}), f"key of {owner}"))
