"""Tests of how the chart passes the limits of owners to the API."""

from typing import Any

import pytest
from chart import CHART, run, use_env
from vision_node_api.owner_limits import LimitsByOwner, OwnerLimits


def limits_of(monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]) -> LimitsByOwner:
    use_env(values, "vision-node-api", monkeypatch)
    return LimitsByOwner.from_env()


def test_api_gets_the_default_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_of(monkeypatch, {}) == LimitsByOwner()


def test_api_gets_the_limits_and_its_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "limits": {
            "owner": {"bytesPerDay": 10**14, "providerTokensPerDay": 5},
            "owners": {"web.team": {"requestsPerSecond": 1000}},
        },
        "api": {"replicas": 3},
    }
    default = OwnerLimits(bytes_per_day=10**14, provider_tokens_per_day=5)
    web = default.model_copy(update={"requests_per_second": 1000})
    assert limits_of(monkeypatch, values) == LimitsByOwner(default, {"web.team": web}, 3)


@pytest.mark.parametrize(
    "limits",
    [
        {"owner": {"requestsPerSecond": -1}},
        {"owner": {"requests": 1}},
        {"owners": {"a b": {}}},
        {"owners": {"a": {"bytesPerDay": "1G"}}},
    ],
)
def test_other_limits_are_refused(limits: dict[str, Any]) -> None:
    completed = run("template", "vision-node", CHART, values={"limits": limits})
    assert completed.returncode != 0
    assert "schema" in completed.stderr
