"""Tests that the API and the operator receive the inbox's retention period."""

from datetime import timedelta
from typing import Any

import pytest
from chart import error_message
from component_env import use_env
from vision_node_api.settings import Settings as ApiSettings
from vision_node_operator.settings import Settings as OperatorSettings


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, timedelta(days=7)),
        ({"retention": {"inboxSeconds": 0}}, None),
        ({"retention": {"inboxSeconds": 315360000}}, timedelta(days=3650)),
    ],
)
def test_api_and_operator_read_the_same_retention_period(
    values: dict[str, Any], kept: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_env(values, "vision-node-api", monkeypatch)
    assert ApiSettings.from_env().inbox_kept == kept

    use_env(values, "vision-node-operator", monkeypatch)
    assert OperatorSettings.from_env().inbox_kept == kept


@pytest.mark.parametrize("seconds", [-1, 1.5, "7d", 315360001])
def test_invalid_inbox_seconds_are_rejected(seconds: Any) -> None:
    assert "/retention/inboxSeconds" in error_message({"retention": {"inboxSeconds": seconds}})
