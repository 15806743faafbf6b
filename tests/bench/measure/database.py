"""Run statements in the PostgreSQL of the benchmark's cluster."""

import asyncio
from asyncio.subprocess import PIPE
from dataclasses import dataclass

from vision_node_contract.history.schema import schema_name

from bench.arena import Arena
from bench.errors import BenchError
from bench.measure.bucket_access import IDENTITY
from bench.measure.kube_api import KubeApi
from cluster.release import NAMESPACE, RELEASE

COMPONENT, ARCHIVER = "postgres", "archiver"
"""Values of the label app.kubernetes.io/component of the pods that keep the history."""

POD = f"statefulset/{RELEASE}-postgres"
PSQL = (
    *("psql", "--host=/tmp", "--username=postgres", "--dbname=vision_node", "--no-psqlrc"),
    *("--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"),
)
"""psql as superuser through the server's socket, with the values alone as its output."""

STATEMENT_SECONDS = 600.0
"""Timeout of a statement. ANALYZE of a million rows takes seconds."""


@dataclass(frozen=True)
class ClusterDatabase:
    """The history of the release in the cluster."""

    arena: Arena
    schema: str

    @classmethod
    async def of(cls, arena: Arena, kube: KubeApi) -> "ClusterDatabase":
        """Return the history of the release, whose id is in its identity ConfigMap."""
        return cls(arena, schema_name((await kube.get(IDENTITY))["data"]["id"]))

    async def lines(self, statement: str) -> list[str]:
        """Execute a statement, and return its rows as text.

        Raises:
            BenchError: PostgreSQL refused the statement, or can't be reached.
        """
        return (await self._psql(statement, b"")).splitlines()

    async def number(self, statement: str) -> int:
        """Execute a statement, and return its only value."""
        (value,) = await self.lines(statement)
        return int(value)

    async def copy(self, statement: str, data: bytes) -> None:
        """Execute `COPY … FROM STDIN`."""
        await self._psql(statement, data)

    async def names(self) -> set[str]:
        """Return the names of all ImageJobs in the history."""
        return set(await self.lines("SELECT name FROM jobs"))

    async def size_bytes(self) -> int:
        """Return the size of the database on disk."""
        return await self.number("SELECT pg_database_size(current_database())")

    async def _psql(self, statement: str, data: bytes) -> str:
        client = self.arena.client
        pod = ("--namespace", NAMESPACE, "exec", "--stdin", POD, "--")
        sql = ("--command", f"SET search_path = {self.schema}", "--command", statement)
        process = await asyncio.create_subprocess_exec(
            client.kubectl,
            *(*pod, *PSQL, *sql),
            env=client.env,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )

        try:
            async with asyncio.timeout(STATEMENT_SECONDS):
                output, problem = await process.communicate(data)
        finally:
            if process.returncode is None:
                process.kill()

        if process.returncode:
            text = problem.decode(errors="replace").strip()
            raise BenchError(f"psql in {POD}: {statement[:80]}: {text}")
        return output.decode()
