"""Tests of the ImageJob watch, and of the operator's shutdown on a signal."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from vision_node_contract.clients.kube import GoneError, KubeError, UnavailableError, WatchEvent
from vision_node_operator.runtime import imagejob_watch
from vision_node_operator.runtime import reconciler as reconciler_module
from vision_node_operator.runtime.imagejob_watch import watch_imagejobs
from vision_node_operator.runtime.kopf_handlers import handle_signals
from vision_node_operator.state.object_versions import ObjectVersions
from vision_node_operator.state.state import State


class FakeServer:
    """A fake API server whose first watch expires, and which refuses the second permanently."""

    def __init__(self) -> None:
        self.watched: list[str] = []

    async def changes(self, path: str, version: str) -> AsyncIterator[WatchEvent]:
        """Yield events. There is no parameter for selectors, because the watch has none."""
        assert path == "/apis/vision-node.dev/v1alpha1/namespaces/ns/imagejobs"
        self.watched.append(version)
        yield WatchEvent("MODIFIED", [{"n": len(self.watched)}])
        yield WatchEvent("DELETED", [{"n": len(self.watched)}])
        if len(self.watched) == 1:
            raise GoneError(410, "Expired", "too old")
        raise KubeError(404, "NotFound", "no such kind")


class FakeReconciler:
    """A fake reconciler whose last list has version 5, and the next one, after an error, has 8."""

    def __init__(self) -> None:
        self.state = State(versions=ObjectVersions(listed={"imagejobs": 5}))
        self.calls: list[Any] = []

    def observe(self, kind: str, event: str, body: dict[str, int]) -> None:
        self.calls.append((kind, event, body["n"]))

    async def resync_after_loss(self) -> None:
        self.calls.append("resync_after_loss")
        if self.calls.count("resync_after_loss") == 1:
            raise UnavailableError(0, "NoAnswer", "connection refused")
        self.state.versions.listed["imagejobs"] = 8


async def test_watch_forwards_changes_and_continues_after_the_next_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imagejob_watch, "RESTART_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(reconciler_module, "START_SECONDS", (0.0, 0.0))
    server, reconciler = FakeServer(), FakeReconciler()
    with pytest.raises(KubeError, match="no such kind"):
        await watch_imagejobs(server, "ns", reconciler)  # type: ignore[arg-type]

    assert server.watched == ["5", "8"]
    assert reconciler.calls == [
        ("imagejobs", "MODIFIED", 1),
        ("imagejobs", "DELETED", 1),
        "resync_after_loss",
        "resync_after_loss",
        ("imagejobs", "MODIFIED", 2),
        ("imagejobs", "DELETED", 2),
    ]


async def test_sigterm_stops_the_operator_immediately() -> None:
    ready, stopped = asyncio.Event(), asyncio.Event()
    handling = asyncio.create_task(handle_signals(ready, stopped.set))
    ready.set()
    await handling

    try:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stopped.wait(), 30)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
