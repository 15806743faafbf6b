"""The worker's loop: each assignment once, and no more of them than it may have."""

import asyncio
from typing import Any

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.kube import Event
from vision_node_describer.worker import Worker


class Attempts:
    """Attempts that end when they are told to."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.end = asyncio.Event()

    async def attempt(self, job: ImageJob) -> None:
        self.made.append(job.metadata.name)
        await self.end.wait()


def assigned(*names: str) -> Event:
    status = {"phase": "processing", "attempts": 1, "worker": "w0"}
    spec = {"image": {"key": "images/1"}}
    bodies: Any = [{"metadata": {"name": n, "uid": n}, "spec": spec, "status": status} for n in names]
    return Event("LISTING", bodies)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_each_assignment_is_attempted_once_however_often_it_is_shown() -> None:
    attempts = Attempts()
    worker = Worker(attempts)  # type: ignore[arg-type]
    for _ in range(2):
        worker.take(assigned("a", "b"))
    attempts.end.set()
    await settle()
    assert attempts.made == ["a", "b"]
    assert not worker.used_up.is_set()


async def test_it_is_used_up_when_it_has_finished_all_that_it_may_have() -> None:
    attempts = Attempts()
    worker = Worker(attempts, max_images=2)  # type: ignore[arg-type]
    worker.take(assigned("a"))
    worker.take(assigned("b", "too many"))
    await settle()
    assert attempts.made == ["a", "b"]
    assert not worker.used_up.is_set()
    attempts.end.set()
    await settle()
    assert worker.used_up.is_set()
