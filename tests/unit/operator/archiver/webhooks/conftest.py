"""Fixtures for messages to callbacks: threads that resolve names, and a history."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from vision_node_operator.archiver.history.store import HistoryStore
from vision_node_operator.archiver.webhooks import deliverer
from webhook_place import WebhookPlace


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that resolve names."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send requests directly, whatever the environment of the tests is."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def place(
    history_url: str,
    history: HistoryStore,
    tmp_path: Path,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> WebhookPlace:
    """A history without messages, and short intervals."""
    monkeypatch.setattr(deliverer, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(deliverer, "ROUND_SECONDS", 0.001)
    monkeypatch.setattr(deliverer, "BACKLOG_SECONDS", 0.0)
    monkeypatch.setattr(deliverer, "FINISH_SECONDS", 0.0)
    monkeypatch.setattr(deliverer, "RETRY_SECONDS", (0.05, 0.1))
    return WebhookPlace(history_url, history, tmp_path, threads)
