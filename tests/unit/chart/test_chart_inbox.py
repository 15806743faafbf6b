"""Tests that the inbox's retention period reaches the API and the operator."""

from datetime import timedelta
from typing import Any

import pytest
from chart import containers, error_message, pod, template
from vision_node_api.settings import Settings as ApiSettings
from vision_node_operator.settings import Settings as OperatorSettings


def set_env(values: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables of a component's container in this process."""
    (container,) = containers(pod(template(values), name))
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    for variable in container["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])


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
    set_env(values, "vision-node-api", monkeypatch)
    assert ApiSettings.from_env().inbox_kept == kept

    set_env(values, "vision-node-operator", monkeypatch)
    assert OperatorSettings.from_env().inbox_kept == kept


@pytest.mark.parametrize("seconds", [-1, 1.5, "7d", 315360001])
def test_invalid_inbox_seconds_are_rejected(seconds: Any) -> None:
    assert "/retention/inboxSeconds" in error_message({"retention": {"inboxSeconds": seconds}})
