"""Tests of the archiver's settings, of its start and of its end."""

import asyncio
import os
import signal

import pytest
from vision_node_operator.archiver import service
from vision_node_operator.archiver.settings import Settings


def test_settings_have_defaults_for_what_a_chart_may_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    for name in ("IDENTITY_CONFIGMAP", "MAX_BATCH_IMAGES"):
        monkeypatch.delenv(name, raising=False)
    assert Settings.from_env() == Settings("ns", "", 1_000_000)

    monkeypatch.setenv("IDENTITY_CONFIGMAP", "release-identity")
    monkeypatch.setenv("MAX_BATCH_IMAGES", "5000")
    assert Settings.from_env() == Settings("ns", "release-identity", 5000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_the_archiver_at_once(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ended = False

    async def work(_: Settings) -> None:
        nonlocal ended
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    monkeypatch.setattr(service, "_work", work)
    async with asyncio.timeout(60):
        await service.run(Settings("ns"))
    assert ended


async def test_unexpected_error_ends_the_archiver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then Kubernetes starts it again."""

    async def work(_: Settings) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(service, "_work", work)
    with pytest.raises(RuntimeError, match="a bug"):
        await service.run(Settings("ns"))
