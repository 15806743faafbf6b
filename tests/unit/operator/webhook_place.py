"""A history with messages to callbacks, and deliverers that send them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psycopg
from history_database import SCHEMA, image_row, job_row, open_database, uid_of
from psycopg.rows import dict_row
from vision_node_contract.callbacks.addresses import Address
from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_contract.clients import outbound
from vision_node_operator.archiver.history.holds import Work
from vision_node_operator.archiver.history.store import HistoryStore
from vision_node_operator.archiver.webhooks.deliverer import Deliverer
from vision_node_operator.archiver.webhooks.deliveries import Deliveries
from vision_node_operator.archiver.webhooks.lookup import system_lookup
from vision_node_operator.archiver.webhooks.sender import Sender
from vision_node_operator.archiver.webhooks.signing import SecretFolder

SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
RULES = CallbackRules((ip_network("127.0.0.0/8"),), allow_http=True)

RESULT = {
    "description": "Image Description: cat.",
    "alt": "cat",
    "caption": "A cat",
    "describer": "local",
    "seconds": 0.1,
    "_generated_by": "vision-node-gpt",
}


@dataclass
class Gate:
    """Says that the history may be used. Nobody can tell it that a request has failed."""

    async def allowed(self, work: Work) -> None:
        """Do nothing."""
        assert work is Work.ARCHIVE


def body_of(number: int) -> str:
    """Return a finished ImageJob as it is archived."""
    return json.dumps(
        {
            "metadata": {"name": f"job-{number}", "uid": uid_of(number), "labels": {"n": "1"}},
            "spec": {"image": {"key": "k"}, "describer": "local"},
            "status": {
                "phase": "done",
                "attempts": 1,
                "completionTime": "2026-01-01T00:00:00Z",
                "result": {"describer": "local", "summary": "A cat"},
            },
        }
    )


@dataclass
class WebhookPlace:
    """Where messages wait."""

    url: str
    store: HistoryStore
    folder: Path
    threads: ThreadPoolExecutor
    announced: int = 0

    def __post_init__(self) -> None:
        self.set_secret(SECRET)
        self.store.on_announced = self._note

    def _note(self) -> None:
        self.announced += 1

    def set_secret(self, secret: str | None, previous: str | None = None) -> None:
        """Replace the files of the Secret."""
        for name, text in (("secret", secret), ("previous", previous)):
            (self.folder / name).unlink(missing_ok=True)
            if text is not None:
                (self.folder / name).write_text(text)

    async def add(self, numbers: Sequence[int], url: str, **image: Any) -> None:
        """Archive jobs with a callback."""
        rows = [
            (
                image_row(it, **{"body": body_of(it), "result": json.dumps(RESULT)} | image),
                job_row(it, callback_url=url),
            )
            for it in numbers
        ]
        await self.store.add_jobs(rows, 1)

    def rows(self, columns: str = "*", where: str = "true") -> list[dict[str, Any]]:
        """Return the messages, in the order of their jobs."""
        query = f"SELECT {columns} FROM deliveries WHERE {where} ORDER BY uid"  # noqa: S608
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            connection.execute(f"SET search_path = {SCHEMA}".encode())
            return connection.execute(query.encode()).fetchall()

    def states(self) -> list[str]:
        """Return the states of the messages."""
        return [it["state"] for it in self.rows("state")]

    def execute(self, statement: str) -> None:
        """Execute a statement."""
        with psycopg.connect(self.url) as connection:
            connection.execute(f"SET search_path = {SCHEMA}".encode())
            connection.execute(statement.encode())

    def make_due(self) -> None:
        """Let all pending messages be due now, as if time had passed."""
        self.execute("UPDATE deliveries SET next_attempt_at = now() - interval '1 s'")

    def end_leases(self) -> None:
        """Let all claims be over, as if time had passed."""
        self.execute("UPDATE deliveries SET claimed_until = now() - interval '1 s'")

    @asynccontextmanager
    async def deliverer(
        self,
        max_age: timedelta = timedelta(hours=72),
        lookup: Callable[[str], Sequence[Address]] = system_lookup,
    ) -> AsyncIterator[Deliverer]:
        """Run a deliverer with its own connections during the block."""
        async with open_database(self.url) as database:
            sender = Sender(RULES, outbound.tls(), self.threads, lookup)
            deliverer = Deliverer(
                Deliveries(database),
                sender,
                SecretFolder(self.folder),
                Gate(),
                max_age,
                timedelta(days=30),
            )
            running = asyncio.create_task(deliverer.run())
            try:
                yield deliverer
                assert not running.done(), "the deliverer has ended"
            finally:
                running.cancel()
                await asyncio.wait({running})
                if not running.cancelled():
                    running.result()
