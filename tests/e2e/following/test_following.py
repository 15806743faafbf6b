"""Tests that follow jobs in a cluster, even if replicas of the API are stopped or killed."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
from conftest import FAST_DESCRIBER, Kubectl
from vision_node_client import Event, Retries, VisionNode

from following.conftest import until_rolled_out

SECONDS = 120.0

PATIENT = Retries(attempts=20, max_seconds=5)
"""Retries for longer than a replica needs to start."""

JOBS = 30


def test_job_is_followed_from_its_submission_to_its_end(
    url: str, submit: Callable[..., str], photo: Path, api: httpx.Client
) -> None:
    job_id = submit(photo.read_bytes())
    answer = subprocess.run(
        ["curl", "-sSN", "--max-time", f"{SECONDS:.0f}", f"{url}/jobs/{job_id}/events"],
        capture_output=True,
        text=True,
        check=True,
    )

    states = [json.loads(data) for data in data_of(answer.stdout.splitlines())]
    assert states[-1] == api.get(f"/status/{job_id}").json()
    assert states[-1]["status"] == "done"
    phases = [it["status"] for it in states]
    assert phases == sorted(set(phases), key=("queued", "processing", "done").index)


def change_a_batch(api: httpx.Client, image: bytes) -> None:
    """Describe a batch of one image, so that the newest change of a batch is newer than replicas.

    A replica that has just started knows no changes of batches before its start.
    """
    form = {"files": [("file", ("a.jpg", image))], "data": {"describer": FAST_DESCRIBER}}
    name = api.post("/batches", **form).json()["name"]
    wait = {"Prefer": "wait=60"}
    assert api.get(f"/batches/{name}", headers=wait, timeout=90).json()["status"] == "done"


def test_another_replica_continues_behind_the_last_event(
    pods: list[str],
    replica: Callable[[str], AbstractContextManager[httpx.Client]],
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    photo: Path,
) -> None:
    data = photo.read_bytes()
    with replica(pods[0]) as first:
        change_a_batch(first, data)
    with replica(pods[0]) as first, first.stream("GET", "/events", timeout=SECONDS) as answer:
        lines = answer.iter_lines()
        position = next(it for it in lines if it.startswith("id: "))
        seen = submit(data)
        last_id = position
        for line in lines:
            last_id = line if line.startswith("id: ") else last_id
            if seen in line and '"done"' in line:
                break

    missed = [submit(data) for _ in range(3)]
    for job_id in missed:
        assert ended(job_id)["status"] == "done"

    headers = {"Last-Event-ID": last_id.removeprefix("id: ")}
    with (
        replica(pods[1]) as second,
        second.stream("GET", "/events", headers=headers, timeout=SECONDS) as answer,
    ):
        done: list[str] = []
        for text in data_of(answer.iter_lines()):
            state = json.loads(text)
            assert "reason" not in state, state
            if state.get("status") == "done" and state.get("job_id") in {seen, *missed}:
                done.append(state["job_id"])
            if len(done) == len(missed):
                break

    assert sorted(done) == sorted(missed)


def test_client_loses_nothing_while_replicas_are_killed(
    url: str, pods: list[str], kubectl: Kubectl, photo: Path
) -> None:
    jobs: list[str] = []
    data = photo.read_bytes()

    with VisionNode(url, retries=PATIENT) as node:
        events = node.events()
        follower = _Follower(node, events)
        follower.start()
        for number in range(JOBS):
            jobs.append(node.submit(data, describer="metadata").id)
            if number in (JOBS // 3, 2 * JOBS // 3):
                pod = pods[number // (JOBS // 2)]
                kubectl("delete", "pod", pod, "--grace-period=0", "--force")
                until_rolled_out(kubectl)

        follower.finish_with(jobs)

    assert set(jobs) <= follower.done


class _Follower(threading.Thread):
    """Follows all jobs in a thread. After a reset, it reads the states that it waits for."""

    def __init__(self, node: VisionNode, events: Iterator[Event]) -> None:
        super().__init__(daemon=True)
        self.done: set[str] = set()
        self._node = node
        self._events = events
        self._wanted: set[str] | None = None
        self._was_reset = False

    def run(self) -> None:
        for event in self._events:
            self._was_reset = self._was_reset or event.kind == "reset"
            if event.job and event.job.status == "done":
                self.done.add(event.job.id)
            if self._wanted is not None and self._wanted <= self.done:
                return

    def finish_with(self, jobs: list[str]) -> None:
        """Wait until all jobs are known to be done."""
        self._wanted = set(jobs)
        marker = self._node.submit(_PIXEL, describer="metadata")
        self._node.wait(marker, timeout=SECONDS)
        for job_id in jobs:
            self._node.wait(job_id, timeout=SECONDS)
        if self._was_reset:
            self.done |= self._wanted

        # The last event may have come before the jobs were known.
        self._node.submit(_PIXEL, describer="metadata")
        self.join(SECONDS)


_PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
"""A GIF of one pixel."""


def data_of(lines: Iterator[str] | list[str]) -> Iterator[str]:
    """Yield the data of each event."""
    return (line.removeprefix("data: ") for line in lines if line.startswith("data: "))
