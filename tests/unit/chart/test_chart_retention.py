"""Tests that the API and the operator receive the limits on finished jobs and on the inbox."""

from datetime import timedelta
from typing import Any

import pytest
from chart import error_message, use_env
from vision_node_api.settings import Settings as ApiSettings
from vision_node_operator.settings import Settings as OperatorSettings

DAY = timedelta(days=1)
CHANGED = {
    "limits": {"imageJobs": 1_000_000, "ttlSeconds": 60},
    "retention": {"historySeconds": 315_360_000},
}
FOREVER = {"limits": {"ttlSeconds": 60}, "retention": {"historySeconds": 0}}
WITHOUT_DATABASE = {"database": {"enabled": False}}


@pytest.mark.parametrize(
    ("values", "imagejobs", "kept", "max_ttl"),
    [
        ({}, 30_000, 30 * DAY, 2_592_000),
        (CHANGED, 1_000_000, 3650 * DAY, 315_360_000),
        (FOREVER, 30_000, None, 60),
        (WITHOUT_DATABASE, 30_000, DAY, 2_592_000),
        ({**WITHOUT_DATABASE, "retention": {"jobSeconds": 60}}, 30_000, DAY / 1440, 2_592_000),
    ],
)
def test_api_and_operator_read_the_same_limits(
    values: dict[str, Any],
    imagejobs: int,
    kept: timedelta | None,
    max_ttl: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_env(values, "vision-node-api", monkeypatch)
    api = ApiSettings.from_env()
    assert (api.max_imagejobs, api.job_kept, api.max_ttl_seconds) == (imagejobs, kept, max_ttl)

    use_env(values, "vision-node-operator", monkeypatch)
    operator = OperatorSettings.from_env()
    assert (operator.max_imagejobs, operator.job_kept) == (imagejobs, kept)


@pytest.mark.parametrize(
    ("section", "name", "number"),
    [
        ("limits", "imageJobs", 0),
        ("limits", "imageJobs", 1_000_001),
        ("limits", "ttlSeconds", 59),
        ("limits", "finishedImageJobs", 0),
        ("retention", "historySeconds", 59),
        ("retention", "historySeconds", -1),
        ("retention", "imageJobSeconds", 59),
        ("retention", "imageSeconds", -1),
        ("retention", "jobSeconds", 59),
        ("retention", "jobSeconds", "1d"),
    ],
)
def test_invalid_limits_are_rejected(section: str, name: str, number: Any) -> None:
    assert f"/{section}/{name}" in error_message({section: {name: number}})


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, timedelta(days=7)),
        ({"retention": {"inboxSeconds": 0}}, None),
        ({"retention": {"inboxSeconds": 315360000}}, timedelta(days=3650)),
    ],
)
def test_api_and_operator_read_the_same_retention_of_the_inbox(
    values: dict[str, Any], kept: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_env(values, "vision-node-api", monkeypatch)
    assert ApiSettings.from_env().inbox_kept == kept

    use_env(values, "vision-node-operator", monkeypatch)
    assert OperatorSettings.from_env().inbox_kept == kept


@pytest.mark.parametrize("seconds", [-1, 1.5, "7d", 315360001])
def test_invalid_inbox_seconds_are_rejected(seconds: Any) -> None:
    assert "/retention/inboxSeconds" in error_message({"retention": {"inboxSeconds": seconds}})
