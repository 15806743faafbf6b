"""Run a soak test whose images are never done, until a signal ends it: endless_soak <results>."""

import asyncio
import sys
from pathlib import Path

import uvloop
from bench.errors import exit_status
from bench.soak import results
from bench.soak.run import exercise
from unit.bench.soak.soak_fakes import (
    DONE,
    PLAN,
    QUEUED,
    FakeApi,
    FakeCluster,
    new_soak,
    rigged,
    until_true,
)


async def soak_endlessly(file: Path) -> None:
    api = FakeApi(always={"status": QUEUED}, replies={"status": [DONE]})
    soak = new_soak()

    async def announce() -> None:
        await until_true(lambda: api.requests["status"] > 8 and len(soak.samples) > 3)
        print("loading", flush=True)

    try:
        async with rigged(FakeCluster(), api, soak) as rig, asyncio.TaskGroup() as tasks:
            tasks.create_task(announce())
            await exercise(rig, PLAN, soak)
    finally:
        results.save(soak, file)
        print("stopped", flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: uvloop.run(soak_endlessly(Path(sys.argv[1])))))
