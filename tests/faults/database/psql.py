"""Run psql and pg_dump in the pod of the bundled PostgreSQL, as its superuser."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cluster.release import NAMESPACE

POD = "statefulset/vision-node-postgres"
"""The bundled PostgreSQL, as an argument of `kubectl exec`."""

DATABASE = "vision_node"
"""Name of the bundled PostgreSQL's database."""

MAINTENANCE = "template1"
"""A database that exists in every server, from which others can be closed."""

PSQL = (
    *("psql", "--username=postgres", "--set=ON_ERROR_STOP=1", "--no-psqlrc"),
    *("--quiet", "--tuples-only", "--no-align"),
)
"""Command that executes the statements from its input."""

COMPLETE = "PostgreSQL database dump complete"
"""Text at the end of a copy that was not cut off."""

RETRY_SECONDS = 0.5

COMMAND_SECONDS = 30.0
"""Time limit for a command. A restore takes a few seconds."""

GIVE_UP_SECONDS = 90.0
"""How long a command is repeated, for example while the pod is being replaced."""


class PsqlError(Exception):
    """A command in PostgreSQL's pod failed."""


@dataclass(frozen=True, slots=True)
class Psql:
    """Runs commands in PostgreSQL's pod."""

    schema: str
    """Name of the release's schema."""

    async def run(self, sql: str, database: str = DATABASE) -> str:
        """Execute statements in one transaction, and return what they print.

        Raises:
            PsqlError: A statement failed, or PostgreSQL can't be reached.
        """
        script = in_transaction(sql, self.schema)
        return await self._exec(*PSQL, f"--dbname={database}", stdin=script)

    async def insist(self, sql: str, database: str = DATABASE) -> str:
        """Execute statements like run(), and repeat them until they work.

        Raises:
            PsqlError: They still fail after GIVE_UP_SECONDS.
        """
        return await _until_it_works(lambda: self.run(sql, database))

    async def dump(self) -> str:
        """Return a copy of the schema as SQL. Repeat the command until it works.

        Raises:
            PsqlError: It still fails after GIVE_UP_SECONDS.
        """
        pg_dump = ("pg_dump", "--username=postgres", f"--schema={self.schema}", DATABASE)
        return await _until_it_works(lambda: self._complete(*pg_dump))

    async def _complete(self, *pg_dump: str) -> str:
        copy = await self._exec(*pg_dump, stdin="")
        if COMPLETE not in copy:
            raise PsqlError("pg_dump: the copy was cut off")

        return copy

    async def _exec(self, *command: str, stdin: str) -> str:
        pipe = asyncio.subprocess.PIPE
        kubectl = ("kubectl", "--namespace", NAMESPACE, "exec", "-i", POD, "--")
        process = await asyncio.create_subprocess_exec(
            *kubectl, *command, stdin=pipe, stdout=pipe, stderr=pipe
        )

        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                out, errors = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise PsqlError(f"{command[0]} took more than {COMMAND_SECONDS:g} s") from None

        if process.returncode:
            raise PsqlError(f"{command[0]}: {errors.decode(errors='replace').strip()}")

        return out.decode()


def in_transaction(sql: str, schema: str) -> str:
    """Return a script for psql. It changes nothing if its end does not arrive."""
    return f"BEGIN;\nSET LOCAL search_path TO {schema};\n{sql}\nCOMMIT;\n"


async def _until_it_works(command: Callable[[], Awaitable[str]]) -> str:
    deadline = time.monotonic() + GIVE_UP_SECONDS

    while True:
        try:
            return await command()
        except PsqlError:
            if time.monotonic() > deadline:
                raise

        await asyncio.sleep(RETRY_SECONDS)
