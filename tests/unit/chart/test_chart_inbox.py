"""The inbox's retention period: the chart's value reaches the API and the operator."""

from datetime import timedelta
from typing import Any

import pytest
from chart import containers, pod, refusal, template
from vision_node_api.settings import Settings as ApiSettings
from vision_node_operator.settings import Settings as OperatorSettings


def told(values: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the process the environment of a component's container."""
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
def test_api_and_operator_agree(
    values: dict[str, Any], kept: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(values, "vision-node-api", monkeypatch)
    assert ApiSettings.from_env().inbox_kept == kept
    told(values, "vision-node-operator", monkeypatch)
    assert OperatorSettings.from_env().inbox_kept == kept


@pytest.mark.parametrize("seconds", [-1, 1.5, "7d", 315360001])
def test_a_wrong_time_is_refused(seconds: Any) -> None:
    assert "/retention/inboxSeconds" in refusal({"retention": {"inboxSeconds": seconds}})
