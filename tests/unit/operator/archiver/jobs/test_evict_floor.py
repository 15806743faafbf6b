"""Tests of the shortest time that a finished ImageJob stays in etcd."""

from datetime import timedelta

import pytest
from vision_node_operator.archiver.jobs.eviction import MIN_STAY
from vision_node_operator.archiver.settings import HistorySettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, MIN_STAY), ("", MIN_STAY), ("5", timedelta(seconds=5)), ("0", timedelta())],
)
def test_floor_is_a_minute_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: timedelta
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/x")
    monkeypatch.delenv("EVICT_FLOOR_SECONDS", raising=False)
    if text is not None:
        monkeypatch.setenv("EVICT_FLOOR_SECONDS", text)

    settings = HistorySettings.from_env()
    assert settings is not None
    assert settings.evict_floor == expected
