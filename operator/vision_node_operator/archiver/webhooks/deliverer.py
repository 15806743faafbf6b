"""Send the messages that are due, a bounded number at a time, until cancelled."""

import asyncio
import logging
import time
from collections import Counter
from datetime import timedelta
from typing import Protocol

from vision_node_contract.clients.kube import backoff
from vision_node_contract.history.database import HistoryError

from ..history.holds import Work
from .claims import Claim
from .counts import WebhookCounts
from .deliveries import Attempt, Deliveries
from .lookups import MAX_LOOKUPS
from .request import body_of, headers_of
from .schedule import MAX_ATTEMPTS, is_given_up, pause_after
from .sender import Outcome, Sender
from .signing import SecretFolder, SecretUnusableError
from .turns import Place

log = logging.getLogger(__name__)

MAX_RUNNING = 64
"""Maximum number of attempts at the same time. Each takes at most about 300 kB of memory."""

POLL_SECONDS = 2.0
"""Interval at which the database is asked for messages that are due again. New ones are reported by
the archiver at once, unless another one has archived their jobs."""

ROUND_SECONDS = 0.05
"""Pause between two rounds, so that the attempts that end at about the same time are recorded in
one transaction."""

RETRY_SECONDS = (0.5, 10.0)
"""First and longest wait in seconds if the database is unavailable, with full jitter."""

FINISH_SECONDS = 5.0
"""How long attempts may still go on at the end of the process, in seconds, and how long recording
them may take. Kubernetes kills the process after 30 seconds."""

BACKLOG_SECONDS = 15.0
"""Interval at which the backlog is counted."""


class HistoryGate(Protocol):
    """Knows whether the history may be used."""

    async def allowed(self, work: Work) -> None:
        """Wait until this kind of work may be done."""
        ...


class Deliverer:
    """Sends messages. Two of these at the same time send each message once, except after a crash.

    Args:
        deliveries: The messages.
        sender: Sends a message.
        secret: The keys for signatures, which may change at any time.
        gate: While it forbids work, nothing is claimed.
        max_age: The age up to which a message is tried again.
        kept: How long finished jobs are kept if their spec doesn't say so; None means forever.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        sender: Sender,
        secret: SecretFolder,
        gate: HistoryGate,
        max_age: timedelta,
        kept: timedelta | None,
    ) -> None:
        self._deliveries = deliveries
        self._sender = sender
        self._secret = secret
        self._gate = gate
        self._max_age = max_age
        self._kept = kept
        self.counts = WebhookCounts()
        self._running: Counter[Place] = Counter()
        """Number of attempts that are going on, by owner and host."""
        self._ended: list[Attempt] = []
        """Attempts that are not recorded yet. There is one at most for each that was running."""
        self._wake = asyncio.Event()
        self._backlog_due = 0.0
        self._said = ""
        """The problem with the secret that was logged last."""

    def wake(self) -> None:
        """Look for new messages at once."""
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled. Then wait for what is going on, for FINISH_SECONDS at most."""
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._send(tasks)
            finally:
                await self._finish()

    async def _send(self, tasks: asyncio.TaskGroup) -> None:
        failures = 0
        while True:
            await self._gate.allowed(Work.ARCHIVE)
            self._wake.clear()
            try:
                await self._round(tasks)
            except HistoryError as error:
                # It is not reported to the gate: what concerns only messages must not delay
                # archiving, and an outage of the database is noticed by other work, too.
                pause = backoff(failures, *RETRY_SECONDS)
                log.warning(
                    "messages to callbacks wait for the database (%s), trying again in %.1f s: %s",
                    *(error.reason, pause, error),
                )
                failures += 1
                await asyncio.sleep(pause)
            else:
                failures = 0
                await self._pause()

    async def _finish(self) -> None:
        """Record the attempts that end soon, so that they are not repeated after a restart."""
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                while self._running:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            log.info("%d attempts are cut off, and repeated later", self._running.total())

        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await self._record()
        except (TimeoutError, HistoryError) as error:
            log.warning("attempts that have ended are repeated later: %s", error)

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        await self._record()
        await self._count()

        # A lookup that hangs still has a thread, so it counts like an attempt of its owner.
        busy = self._running + self._sender.hanging
        free = min(MAX_RUNNING - self._running.total(), MAX_LOOKUPS - busy.total())
        keys = self._keys() if free > 0 else []
        if not keys:
            return

        for claim in await self._deliveries.claim(busy, free):
            self._running[claim.place] += 1
            tasks.create_task(self._deliver(claim, keys))

    async def _pause(self) -> None:
        if not self._deliveries.has_more:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                return
        await asyncio.sleep(ROUND_SECONDS)

    async def _record(self) -> None:
        """Record the attempts that have ended. If that fails, they are recorded later."""
        ended = list(self._ended)
        if ended:
            await self._deliveries.record(ended)
            del self._ended[: len(ended)]

    async def _count(self) -> None:
        now = time.monotonic()
        if now >= self._backlog_due:
            self.counts.backlog = await self._deliveries.backlog()
            self._backlog_due = now + BACKLOG_SECONDS

    def _keys(self) -> list[bytes]:
        """Return the keys for signatures; none while there is no valid one, so that all waits."""
        try:
            keys, problem = self._secret.keys(), ""
        except SecretUnusableError as error:
            keys, problem = [], str(error)

        if problem and problem != self._said:
            log.error("no message is sent to callbacks: %s", problem)
        self._said = problem
        return keys

    async def _deliver(self, claim: Claim, keys: list[bytes]) -> None:
        try:
            outcome = await self._attempt(claim, keys)
        except Exception:  # whatever is wrong with a message must not stop the others
            log.exception("message %s to a callback can't be sent", claim.id)
            outcome = Outcome(error="InternalError: The archiver failed; its log says why.")
        finally:
            self._running[claim.place] -= 1
            self._running += Counter()  # without those that have none

        self._ended.append(self._judged(claim, outcome))
        self._wake.set()

    async def _attempt(self, claim: Claim, keys: list[bytes]) -> Outcome:
        body = body_of(claim, self._kept)
        if body is None:
            error = "MessageUnreadable: What is archived of the job can't be read."
            return Outcome(error=error, is_final=True)

        headers = headers_of(str(claim.id), int(time.time()), body, keys)
        return await self._sender.send(claim.url, headers, body, claim.place)

    def _judged(self, claim: Claim, outcome: Outcome) -> Attempt:
        """Decide whether the message is delivered, given up, or sent again."""
        number, status, error = claim.attempts, outcome.status, outcome.error
        if error is None:
            self.counts.delivered += 1
            return Attempt(claim.id, number, "delivered", status=status)

        pause = pause_after(number, outcome.retry_after)
        is_too_late = is_given_up(pause, claim.age, self._max_age)
        if outcome.is_final or is_too_late or number >= MAX_ATTEMPTS:
            self.counts.failed += 1
            log.warning("message %s to a callback is given up: %s", claim.id, error)
            return Attempt(claim.id, number, "failed", status=status, error=error)

        self.counts.retried += 1
        return Attempt(claim.id, number, "pending", pause, status, error)
