"""Tests of how Describers are created and deleted when the chart's values change."""

import json
from typing import Any

from vision_node_operator.runtime.chart_describers import RELEASE_LABEL, Defaults, changes

CONFIGMAP: Any = {
    "metadata": {"name": "vn-describers", "uid": "u"},
    "data": {
        "worker-pod.json": "{}",
        "describers.json": json.dumps({"metadata": {"maxWorkers": 3}}),
    },
}
DEFAULTS = Defaults.of(CONFIGMAP)


def existing(name: str, release: str | None) -> Any:
    return {"metadata": {"name": name, "labels": {RELEASE_LABEL: release} if release else {}}}


def test_applied_describer_has_the_release_label_and_owner() -> None:
    (body,) = changes(DEFAULTS, "vn", []).apply
    assert body["metadata"]["labels"] == {RELEASE_LABEL: "vn"}
    assert body["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "vn-describers", "uid": "u"}
    ]
    assert body["spec"] == {"maxWorkers": 3}


def test_only_describers_of_the_release_are_deleted() -> None:
    names = {"metadata": "vn", "left": "vn", "mine": None, "other": "x"}
    wanted = changes(DEFAULTS, "vn", [existing(*item) for item in names.items()])
    assert [body["metadata"]["name"] for body in wanted.apply] == ["metadata"]
    assert wanted.delete == ["left"]


def test_users_describer_with_the_same_name_is_not_changed() -> None:
    wanted = changes(DEFAULTS, "vn", [existing("metadata", None)])
    assert (wanted.apply, wanted.delete) == ([], [])
