"""Tests of how the API reads the limits of owners from its environment."""

import json

import pytest
from vision_node_api.owner_limits import UNLIMITED, LimitsByOwner, OwnerLimits


def read(monkeypatch: pytest.MonkeyPatch, document: object, replicas: str = "1") -> LimitsByOwner:
    monkeypatch.setenv("OWNER_LIMITS", json.dumps(document))
    monkeypatch.setenv("API_REPLICAS", replicas)
    return LimitsByOwner.from_env()


def test_owners_override_single_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    default = {"requestsPerSecond": 20, "unfinishedJobs": 10, "bytesPerDay": 1e12}
    limits = read(
        monkeypatch, {"default": default, "owners": {"web": {"unfinishedJobs": 0}}}, replicas="3"
    )

    assert limits.replicas == 3
    assert limits.of("ann") == OwnerLimits(
        requests_per_second=20, unfinished_jobs=10, bytes_per_day=10**12
    )
    assert limits.of("web") == limits.of("ann").model_copy(update={"unfinished_jobs": 0})
    assert limits.of("") == UNLIMITED


def test_older_charts_set_no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OWNER_LIMITS", raising=False)
    monkeypatch.delenv("API_REPLICAS", raising=False)
    assert LimitsByOwner.from_env() == LimitsByOwner()


def test_release_without_replicas_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone may scale the Deployment up by hand."""
    assert read(monkeypatch, {}, replicas="0").replicas == 1


@pytest.mark.parametrize(
    "document", [{"default": {"bytesPerDay": -1}}, {"owners": {"a": {"unfinishedJobs": "x"}}}, []]
)
def test_invalid_limits_are_refused(monkeypatch: pytest.MonkeyPatch, document: object) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read(monkeypatch, document)
