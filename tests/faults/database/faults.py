"""Inject the faults of PostgreSQL that take SQL: full, slow, closed, and restored from a copy."""

import asyncio
import re
import time
from collections.abc import Mapping

from cluster.release import NAMESPACE
from faults.database import statements
from faults.database.psql import DATABASE, GIVE_UP_SECONDS, MAINTENANCE, RETRY_SECONDS, Psql
from faults.plan import Fault, Kind

COPY_SECONDS = 12.0
"""Time from a copy of PostgreSQL until it is restored. It is shorter than EVICT_FLOOR_SECONDS in
tests/faults/database/rig.py, so that nearly all jobs that are evicted meanwhile are in the copy."""

HOLD_SECONDS = 20.0
"""Time from the restoration until a person confirms it. Meanwhile, the archiver writes more rows
than the restoration has lost, and may be killed."""

ARCHIVER = "deployment/vision-node-archiver"
IDENTITY = "vision-node-identity"
CONFIRM_ANNOTATION = "vision-node.dev/confirm-restore"

TOKEN = re.compile(re.escape(CONFIRM_ANNOTATION) + r"=(history-\d+)")
"""What the archiver's log says has to be confirmed."""

DISTURBED: Mapping[Kind, str] = {
    Kind.FILL_POSTGRES: statements.FILL,
    Kind.SLOW_POSTGRES: statements.SLOW_DOWN,
}
"""Statements that begin a fault, which HEAL ends."""


class DatabaseFaults:
    """Injects faults into PostgreSQL, one after the other."""

    def __init__(self, psql: Psql) -> None:
        self.copied: frozenset[str] = frozenset()
        """Uids of the jobs in the copy from which PostgreSQL was restored."""
        self._psql = psql

    @staticmethod
    def knows(kind: Kind) -> bool:
        """Return whether this class injects such faults."""
        return kind in DISTURBED or kind in {Kind.CLOSE_POSTGRES, Kind.RESTORE_POSTGRES}

    async def inject(self, fault: Fault) -> tuple[float, float]:
        """Inject the fault, and end it.

        Returns:
            The time at which it began (time.monotonic()), and how many seconds it lasted.
        """
        if fault.kind in DISTURBED:
            start = await self._disturb(fault)
        elif fault.kind is Kind.CLOSE_POSTGRES:
            start = await self._close(fault)
        else:
            start = await self._restore()

        return start, time.monotonic() - start

    async def _disturb(self, fault: Fault) -> float:
        await self._psql.insist(DISTURBED[fault.kind])
        start = time.monotonic()

        await asyncio.sleep(fault.seconds)
        await self._psql.insist(statements.HEAL)
        return start

    async def _close(self, fault: Fault) -> float:
        await self._psql.insist(statements.close(DATABASE), MAINTENANCE)
        await self._psql.insist(statements.disconnect(DATABASE), MAINTENANCE)
        start = time.monotonic()

        await asyncio.sleep(fault.seconds)
        await self._psql.insist(statements.reopen(DATABASE), MAINTENANCE)
        return start

    async def _restore(self) -> float:
        """Restore PostgreSQL from a copy, and confirm this as a person does."""
        copy = await self._psql.dump()
        self.copied = frozenset(statements.copied_uids(copy, self._psql.schema))
        await asyncio.sleep(COPY_SECONDS)

        await self._psql.insist(statements.restore(copy, self._psql.schema))
        start = time.monotonic()
        await self._psql.insist(statements.disconnect(DATABASE), MAINTENANCE)

        await asyncio.sleep(HOLD_SECONDS)
        await self._confirm()
        return start

    async def _confirm(self) -> None:
        """Set the annotation that the archiver's log asks for.

        The log asks for nothing if nothing was written or evicted since the copy. Then the archiver
        can't notice the restoration, and nothing can be lost: the checker would find that.
        """
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            token = token_in(await _kubectl("logs", ARCHIVER))
            if token and await _kubectl(
                *("annotate", "--overwrite", "configmap", IDENTITY),
                f"{CONFIRM_ANNOTATION}={token}",
            ):
                return

            await asyncio.sleep(RETRY_SECONDS)


def token_in(log: str) -> str | None:
    """Return what is to be confirmed according to the archiver's log; None if nothing is."""
    found = TOKEN.findall(log)
    return found[-1] if found else None


async def _kubectl(*arguments: str) -> str:
    """Return what kubectl prints, or an empty text if it failed."""
    command = ("kubectl", "--namespace", NAMESPACE, "--request-timeout=20s", *arguments)
    pipe, devnull = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=devnull)

    out, _ = await process.communicate()
    return out.decode(errors="replace") if process.returncode == 0 else ""
