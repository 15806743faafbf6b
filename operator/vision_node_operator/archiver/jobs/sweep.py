"""Delete objects of single ImageJobs that neither etcd nor the history names."""

import asyncio
import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.kube import KubeError
from vision_node_contract.clients.ownership import NotOursError
from vision_node_contract.history.database import HistoryError

from ...runtime.garbage_collector import SWEEP_SECONDS, GarbageCollector
from ..counts import JobCounts
from ..history.holds import Work
from ..history.link import HistoryLink
from ..history.store import HistoryStore
from ..sweep_guard import FormerHistory, HeldError

log = logging.getLogger(__name__)

PIECE = 1000
"""Number of keys that the database is asked about in one statement."""


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Pattern of a uid. PostgreSQL would refuse anything else."""


class HistoryNames:
    """Says which objects rows name.

    Sweeps look into etcd first, and then ask this. Rows are written before ImageJobs are evicted,
    so no named object is missed.
    """

    def __init__(self, store: HistoryStore, link: HistoryLink, folders: BucketFolders) -> None:
        self._store = store
        self._link = link
        self._folders = folders

    async def named(self, keys: list[str]) -> set[str]:
        """Return those of these keys that rows name.

        Raises:
            HeldError: A hold is in force.
            HistoryUnavailableError: The database is unavailable.
        """
        found: set[str] = set()
        for start in range(0, len(keys), PIECE):
            piece = keys[start : start + PIECE]
            found |= await self._store.named_images(piece)
            found |= {it for it in await self._result_keys(piece) if it in piece}

        if keys and not await self._link.check():
            raise HeldError("nothing may be cleaned up now")

        return found

    async def _result_keys(self, keys: Iterable[str]) -> set[str]:
        """Return the keys of results that the rows of the jobs in these keys name."""
        uids = {uid for key in keys if (uid := self._uid(key))}
        rows = await self._store.keys_of(sorted(uids)) if uids else []
        return {it.result_key for it in rows if it.result_key}

    def _uid(self, key: str) -> str | None:
        """Return the uid in the key of a result; None for other keys."""
        for folder in (self._folders.results, BucketFolders().results):
            uid = key.removeprefix(folder).partition("/")[0]
            if key.startswith(folder) and _UUID.fullmatch(uid):
                return uid

        return None


class JobSweep:
    """Sweeps at intervals, unless a hold forbids it.

    Args:
        garbage: Deletes objects that nothing names.
        counts: Records when the last sweep ended.
        link: The state of the database; None if etcd alone names objects.
        former: Knows whether there was a database; None if there is one.
    """

    def __init__(
        self,
        garbage: GarbageCollector,
        counts: JobCounts,
        link: HistoryLink | None,
        former: FormerHistory | None = None,
    ) -> None:
        self._garbage = garbage
        self._counts = counts
        self._link = link
        self._former = former

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._link:
                await self._link.allowed(Work.CLEAN)

            try:
                deleted = await self.sweep(datetime.now(UTC))
            except HistoryError as error:
                if self._link:
                    self._link.report(error)
                log.warning("the sweep failed: %s: %s", error.reason, error)
            except NotOursError as error:
                log.warning("no sweep: %s: %s", error.reason, error)
            except HeldError as error:
                log.warning("no sweep: %s", error)
            except (StoreUnavailableError, ObjectNotFoundError, KubeError) as error:
                log.warning("the sweep failed, trying again in %.0f s: %s", SWEEP_SECONDS, error)
            else:
                log.info("the sweep deleted %d objects of ImageJobs", deleted)

    async def sweep(self, now: datetime) -> int:
        """Sweep once; return the number of deleted objects.

        Raises:
            HeldError: Nothing may be deleted. The collector may raise other errors.
        """
        if self._former:
            await self._former.require()

        deleted = await self._garbage.sweep(now)
        self._counts.swept_at = datetime.now(UTC)
        return deleted
