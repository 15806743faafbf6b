"""Tests of the ImageJob watch, and of the operator's shutdown on a signal."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from vision_node_contract.clients.kube import KubeError, WatchEvent
from vision_node_operator.runtime.imagejob_watch import watch_imagejobs
from vision_node_operator.runtime.kopf_handlers import handle_signals
from vision_node_operator.state.object_versions import ObjectVersions
from vision_node_operator.state.state import State


class FakeServer:
    """A fake API server that sends a few events and then refuses the watch permanently."""

    async def follow(self, path: str, version: str) -> AsyncIterator[WatchEvent]:
        assert path == "/apis/vision-node.dev/v1alpha1/namespaces/ns/imagejobs"
        assert version == "5", "the watch continues from the version of the list at startup"
        yield WatchEvent("PAGE", [{"n": 1}, {"n": 2}])
        yield WatchEvent("PAGE", [{"n": 3}])
        yield WatchEvent("SYNCED", names=frozenset("abc"), version="7")
        yield WatchEvent("MODIFIED", [{"n": 1}])
        yield WatchEvent("DELETED", [{"n": 2}])
        raise KubeError(404, "NotFound", "no such kind")


class FakeReconciler:
    """A fake reconciler that has already listed all ImageJobs, and that records its calls."""

    def __init__(self) -> None:
        self.state = State(versions=ObjectVersions(listed={"imagejobs": 5}))
        self.calls: list[Any] = []

    def observe(self, kind: str, event: str, body: dict[str, int]) -> None:
        self.calls.append((kind, event, body["n"]))

    def sweep(self, kind: str, names: frozenset[str], version: int) -> None:
        self.calls.append((kind, sorted(names), version))


async def test_watch_forwards_pages_and_changes_until_a_permanent_refusal() -> None:
    reconciler = FakeReconciler()
    with pytest.raises(KubeError):
        await watch_imagejobs(FakeServer(), "ns", reconciler)  # type: ignore[arg-type]

    assert reconciler.calls == [
        ("imagejobs", "PAGE", 1),
        ("imagejobs", "PAGE", 2),
        ("imagejobs", "PAGE", 3),
        ("imagejobs", ["a", "b", "c"], 7),
        ("imagejobs", "MODIFIED", 1),
        ("imagejobs", "DELETED", 2),
    ]


async def test_sigterm_stops_the_operator_immediately() -> None:
    ready, stopped = asyncio.Event(), asyncio.Event()
    handling = asyncio.create_task(handle_signals(ready, stopped.set))
    ready.set()
    await handling

    try:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stopped.wait(), 5)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
