"""Who sent the request that is being answered, and which objects that client may see.

The middleware sets it for the duration of each request. Services read it where they find an object
or begin a list, so that no route can forget to compare owners.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from vision_node_contract import api_keys
from vision_node_contract.names import OWNER_LABEL

Scope = api_keys.Scope
"""What a client may do: create and change its own objects, read its own objects, or everything."""


@dataclass(frozen=True, slots=True)
class Access:
    """The client that sent a request, and its rights."""

    owner: str
    """Value of the label vision-node.dev/owner of what the client creates; empty for no label."""
    scopes: frozenset[Scope]
    subject: str
    """Name of the API key or of the Kubernetes user, for logs and for people."""

    @property
    def is_admin(self) -> bool:
        """Whether the client may see and change the objects of all owners."""
        return "admin" in self.scopes

    def allows(self, scope: Scope) -> bool:
        """Return whether the client may use routes that need this scope."""
        return scope in self.scopes or self.is_admin

    def may_see(self, labels: Mapping[str, str]) -> bool:
        """Return whether the client may know of an object with these labels.

        An object without an owner belongs to the administrators.
        """
        is_own = self.owner != "" and labels.get(OWNER_LABEL) == self.owner
        return self.is_admin or is_own

    @property
    def labels(self) -> dict[str, str]:
        """The labels of what the client creates that say to whom it belongs."""
        return {OWNER_LABEL: self.owner} if self.owner else {}


UNRESTRICTED = Access("", frozenset[Scope](("submit", "read", "admin")), "anonymous")
"""The access of all clients of a release without authentication."""

NOBODY = Access("", frozenset[Scope](), "nobody")
"""The access of clients that have not said who they are, and use a route that is for everyone."""

_current: ContextVar[Access] = ContextVar("access", default=UNRESTRICTED)


def current_access() -> Access:
    """Return the access of the client whose request is being answered."""
    return _current.get()


@contextmanager
def using_access(access: Access) -> Iterator[None]:
    """Answer a request as this client while the block runs, in this task and those it starts."""
    token = _current.set(access)
    try:
        yield
    finally:
        _current.reset(token)
