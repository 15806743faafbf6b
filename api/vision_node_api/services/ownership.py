"""Check regularly whether the release's folders in the bucket belong to this release."""

import asyncio
import logging

from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import Kube, KubeError
from vision_node_contract.clients.ownership import NotOursError, read_identity, require_ownership

from ..background import BackgroundTask
from ..settings import Settings
from .storage_health import OK, DependencyState

log = logging.getLogger(__name__)

PAUSE_SECONDS = 60.0
"""Number of seconds between two checks. The owner changes only when an administrator copies a
release or takes over its folders."""


NOT_OURS = (
    "The release's folders in the bucket belong to another release. Images can be submitted, but "
    "the inbox can't be changed. The operator's log has the cause and the remedy."
)


class OwnershipCheck(BackgroundTask):
    """Compares the marker in the bucket with the release's identity.

    Submissions go on in any case. Uploads have unique keys, so they harm no other release. But the
    operator sweeps nothing, so the probes report the state.
    """

    def __init__(self, bucket: Bucket, kube: Kube, settings: Settings) -> None:
        super().__init__("The check of the bucket's owner has stopped.")
        self.state = DependencyState(OK)
        self._bucket = bucket
        self._kube = kube
        self._settings = settings

    async def check_once(self) -> None:
        """Check the owner, and record the outcome. If the check fails, the state stays as it is."""
        settings = self._settings
        try:
            identity = await read_identity(self._kube, settings.namespace, settings.identity_name)
            await require_ownership(self._bucket, identity)
        except NotOursError as error:
            log.warning("%s: %s", error.reason, error)
            # Any client can read the state, so it does not contain names and uids.
            self.state = DependencyState(error.reason, NOT_OURS)
        except (StoreUnavailableError, KubeError) as error:
            log.debug("the owner of the folders in the bucket is unknown: %s", error)
        else:
            self.state = DependencyState(OK)

    async def _run(self) -> None:
        # Older charts create no identity.
        while self._settings.identity_name:
            await self.check_once()
            await asyncio.sleep(PAUSE_SECONDS)

        await asyncio.Event().wait()
