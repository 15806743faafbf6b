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
    monkeypatch.setenv(name.upper(), "123456")
    assert getattr(Settings.from_env(), name) == 123_456


def test_settings_that_older_charts_do_not_set_have_defaults() -> None:
    assert Settings.from_env() == Settings("ns", "openai", inbox_kept=None)


@pytest.mark.parametrize(
    ("url", "seconds", "maximum"),
    [(URL, "3600", 7200), (URL, "7200", 7200), (URL, "2592000", 2_592_000), (URL, "0", 7200)],
)
def test_submission_may_ask_for_the_default_time_to_live(
    monkeypatch: pytest.MonkeyPatch, url: str, seconds: str, maximum: int
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("MAX_TTL_SECONDS", "7200")
    monkeypatch.setenv("JOB_SECONDS", seconds)
    assert Settings.from_env().max_ttl_seconds == maximum


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


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h/x?nonsense",
        "postgresql://u:a@secret@h/x",
        "postgresql://u:secret/a@h/x",
        "postgresql://u:secret/a@h/x?port=5432a",
    ],
)
def test_invalid_database_url_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A part of a password would be taken for a host or port, which errors name."""
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ValueError, match="DATABASE_URL is invalid") as caught:
        Settings.from_env()

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me%40server:a%40b%2Fc@[fd00::1]:6432,db-2/x?target_session_attrs=read-write",
        "postgresql://db/x?user=me@server",
        "postgresql:///x",
    ],
)
def test_database_url_may_have_all_that_libpq_knows(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert Settings.from_env().database == DatabaseSettings(url)
