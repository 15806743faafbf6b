"""Tests of Describer problems, which the API reports in the status of queued jobs."""

from typing import Any, cast

import pytest
from vision_node_api.watch.describer_cache import DescriberCache
from vision_node_contract.clients.kube import Kube, WatchEvent

READY = {"type": "Ready", "message": "why", "lastTransitionTime": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("False", "CredentialsRefused", "CredentialsRefused"),
        ("False", "InsufficientResources", "InsufficientResources"),
        ("True", "Serving", None),
        ("True", "InsufficientResources", None),
        ("True", "RateLimited", "RateLimited"),
    ],
)
def test_unready_or_rate_limited_describer_has_a_problem(
    status: str, reason: str, expected: str | None
) -> None:
    describers = DescriberCache(cast("Kube", None), "ns")
    body: dict[str, Any] = {"metadata": {"name": "gpt"}, "spec": {"provider": "openai"}}
    body["status"] = {"conditions": [{**READY, "status": status, "reason": reason}]}
    describers.observe(WatchEvent("ADDED", [body], "1"))
    found = describers.problem("gpt")
    assert (found.reason if found else None) == expected
