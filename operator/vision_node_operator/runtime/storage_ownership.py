"""Check that the release's folders in the bucket belong to this release before a sweep."""

import asyncio
import logging
from typing import Protocol

from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import Kube, KubeError
from vision_node_contract.clients.ownership import NotOursError, claim_ownership, read_identity

log = logging.getLogger(__name__)

CHECK_SECONDS = 60.0
"""Interval between checks. Sweeps also check before they begin; the regular check only makes the
state known soon after the start or after an adoption."""


class ReleaseNames(Protocol):
    """The settings with which a process of the release finds the release's identity."""

    @property
    def namespace(self) -> str:
        """The release's namespace."""

    @property
    def identity_name(self) -> str:
        """Name of the identity ConfigMap; empty if an older chart created none."""


class StorageOwnership:
    """Checks who owns the folders, and writes the marker that says so.

    Sweeps list a folder and delete what this release doesn't know. In the folder of another
    release, that would be everything. Deletions by name, of the objects of a deleted ImageJob,
    stop only while another release is known to be the owner: after a restore from a backup, its
    ImageJobs may name the same images.
    """

    def __init__(self, bucket: Bucket, kube: Kube, settings: ReleaseNames) -> None:
        self._bucket = bucket
        self._kube = kube
        self._settings = settings
        self.is_ours: bool | None = None
        """Whether the folders belong to this release; None until a check could tell."""
        self.was_checked = False
        """Whether a check has ended, with any outcome."""

    async def require(self) -> None:
        """Check that the folders belong to this release, and claim them if nobody owns them.

        Raises:
            NotOursError: The folders belong to another release, or there is no id.
            StoreUnavailableError: The bucket did not respond or refused the request.
            KubeError: The identity ConfigMap can't be read.
        """
        name, namespace = self._settings.identity_name, self._settings.namespace
        try:
            identity = await read_identity(self._kube, namespace, name)
            may_create = self.is_ours is not False
            await claim_ownership(self._bucket, identity, may_create=may_create)
        except NotOursError:
            self.is_ours = False
            raise

        self.is_ours = True

    async def run(self) -> None:
        """Check regularly until cancelled, and log each change of the outcome."""
        logged: str | None = None
        while True:
            outcome = await self._outcome()
            self.was_checked = True
            if outcome != logged:
                level = logging.WARNING if outcome else logging.INFO
                log.log(level, "%s", outcome or "the folders in the bucket belong to this release")
                logged = outcome

            await asyncio.sleep(CHECK_SECONDS)

    async def _outcome(self) -> str:
        """Check, and return what is wrong; empty if the folders belong to this release."""
        try:
            await self.require()
        except NotOursError as error:
            return f"{error.reason}: {error}"
        except StoreUnavailableError as error:
            return f"the owner of the release's folders is unknown, so nothing is swept: {error}"
        except KubeError as error:
            return f"the identity of the release can't be read, so nothing is swept: {error}"

        return ""
