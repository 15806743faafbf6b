"""Tests of the API's settings, which the API reads from the environment of its pod."""

from datetime import timedelta

import pytest
from vision_node_api.settings import LIMITS, Settings
from vision_node_contract.history.database import DatabaseSettings

URL = "postgresql://db:5432/x"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    monkeypatch.setenv("DEFAULT_DESCRIBER", "openai")
    for name in (*LIMITS, "DATABASE_URL", "JOB_SECONDS"):
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name.upper(), "12345")
    assert getattr(Settings.from_env(), name) == 12345


def test_settings_that_older_charts_do_not_set_have_defaults() -> None:
    assert Settings.from_env() == Settings("ns", "openai", inbox_kept=None)


@pytest.mark.parametrize(
    ("url", "seconds", "kept"),
    [
        (URL, "0", None),
        (URL, "2592000", timedelta(days=30)),
        ("", "0", timedelta(0)),
        ("", "86400", timedelta(days=1)),
    ],
)
def test_only_a_database_keeps_jobs_forever(
    monkeypatch: pytest.MonkeyPatch, url: str, seconds: str, kept: timedelta | None
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("JOB_SECONDS", seconds)
    settings = Settings.from_env()
    assert settings.job_kept == kept
    assert settings.database == (DatabaseSettings(url) if url else None)


def test_invalid_database_url_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@h/x?nonsense")
    with pytest.raises(ValueError, match="DATABASE_URL is invalid"):
        Settings.from_env()
