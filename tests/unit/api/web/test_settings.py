"""Tests of the API's settings, which the API reads from the environment of its pod."""

import pytest
from vision_node_api.settings import LIMITS, Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    monkeypatch.setenv("DEFAULT_DESCRIBER", "openai")
    for name in LIMITS:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name.upper(), "12345")
    assert getattr(Settings.from_env(), name) == 12345


def test_settings_that_older_charts_do_not_set_have_defaults() -> None:
    assert Settings.from_env() == Settings("ns", "openai", inbox_kept=None)
