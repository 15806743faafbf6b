"""What the client whose request is being answered may see: its own objects, or those of all owners.

The services use this where they find an object or begin a list. An object that the client may not
see is treated as if it did not exist, so that it is answered like an unknown one.
"""

from collections.abc import Mapping
from typing import Protocol

from vision_node_contract.models.imagejob import ObjectMeta
from vision_node_contract.names import OWNER_LABEL

from ..web.access import UNRESTRICTED, current_access

NO_OWNER = "-"
"""Stands for the owner of a client that has none and is no administrator. No label can have this
value, so such a client sees nothing."""


class Labeled(Protocol):
    """An ImageJob or an ImageBatch."""

    @property
    def metadata(self) -> ObjectMeta:
        """Its metadata, which has its labels."""


def is_visible(found: Labeled) -> bool:
    """Return whether the client may know of an ImageJob or an ImageBatch."""
    return current_access().may_see(found.metadata.labels)


def visible_owner() -> str | None:
    """Return the owner whose objects the client may see; None if it may see those of all."""
    access = current_access()
    return None if access.is_admin else access.owner or NO_OWNER


def narrowed_owner(wanted: str | None) -> str | None:
    """Return the owner to list if a client wants those of `wanted`; None means all owners.

    A client that may not see the objects of `wanted` gets those of NO_OWNER, which are none.
    """
    visible = visible_owner()
    if visible is None or visible == wanted or not wanted:
        return visible or wanted or None

    return NO_OWNER


def is_access_controlled() -> bool:
    """Return whether authentication is on, so that objects belong to owners."""
    return current_access() is not UNRESTRICTED


def owner_of(labels: Mapping[str, str]) -> str:
    """Return the owner of an object with these labels; empty if it has none."""
    return labels.get(OWNER_LABEL, "")
