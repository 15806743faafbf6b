"""Decide whether objects that nothing in etcd names may be deleted."""

from collections.abc import Collection
from typing import Protocol

from vision_node_contract.clients.bucket import Bucket

from .history import counter_copy


class HeldError(Exception):
    """Something must wait. The error's text says why."""


class SweepGuard(Protocol):
    """Knows what a sweep of the folders of ImageBatches must keep."""

    async def require(self) -> None:
        """Check that folders may be swept.

        Raises:
            HeldError: They may not.
        """

    async def kept(self, uids: Collection[str]) -> set[str]:
        """Return those of these uids whose folders are kept although they are not in etcd."""
        ...


class FormerHistory:
    """Forbids sweeps in a release without a database that once had one.

    The rows of the database name the objects of jobs that are no longer in etcd. An administrator
    who turns the database off, perhaps by mistake, must not lose these objects.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def require(self) -> None:
        """Check that the release has had no database, or that its data was given up.

        Raises:
            HeldError: It had one.
            StoreUnavailableError: The bucket did not respond or refused the request.
        """
        if await counter_copy.exists(self._bucket):
            key = counter_copy.key_of(self._bucket)
            raise HeldError(
                f"the release had a database ({key} in the bucket says so), and its rows may name "
                "objects that nothing in the cluster names. Turn the database on again, or delete "
                "this object to give up the images and results of all jobs in the database"
            )

    async def kept(self, uids: Collection[str]) -> set[str]:  # noqa: ARG002 (see SweepGuard)
        """Return no uids, because there are no rows."""
        return set()
