"""Tests of what the API server and the archiver do with ImageBatches whose images are uploaded."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import FAST_DESCRIBER, Kubectl

from batches.batch import Batches, condition

COMPLETE = {"complete": True, "attempt": "first", "lists": 0}


def body(name: str, **spec: Any) -> str:
    common = {"apiVersion": "vision-node.dev/v1alpha1", "kind": "ImageBatch"}
    return json.dumps(common | {"metadata": {"name": name}, "spec": spec})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"upload": {}, "prefix": "inbox/"}, "set exactly one of spec.prefix"),
        ({"upload": {}, "manifest": "inbox/list"}, "set exactly one of spec.prefix"),
        ({}, "set exactly one of spec.prefix"),
        ({"upload": {"attempt": "../x"}}, "spec.upload.attempt"),
        ({"upload": {"attempt": "a" * 17}}, "spec.upload.attempt"),
        ({"upload": {"lists": -1}}, "spec.upload.lists"),
    ],
)
def test_odd_upload_is_refused(
    refused: Callable[..., str], spec: dict[str, Any], words: str
) -> None:
    assert words in refused("create", "-f", "-", input=body("odd-upload", **spec))


def test_upload_can_be_changed_until_it_is_complete(
    batches: Batches, kubectl: Kubectl, refused: Callable[..., str]
) -> None:
    batches.create("upload", upload={}, describer=FAST_DESCRIBER)
    found = json.loads(kubectl("get", "imagebatch", "upload", "-o", "json"))
    assert found["spec"]["upload"] == {"complete": False}
    assert batches.status("upload") == {"phase": "queued"}

    def refuse(**spec: Any) -> str:
        patch = json.dumps({"spec": spec})
        return refused("patch", "imagebatch", "upload", "--type=merge", "-p", patch)

    assert "spec is immutable" in refuse(describer="another", upload=COMPLETE)
    assert "can't be changed" in refuse(upload=None, prefix="inbox/")
    batches.patch("upload", upload={"attempt": "first"})
    batches.patch("upload", upload=COMPLETE)
    for change in ({"complete": False}, {"attempt": "second"}, {"lists": 1}):
        assert "a complete upload can't be changed" in refuse(upload=change)

    status = batches.wait("upload", "Failed")
    assert condition(status, "Failed")["reason"] == "NoImages"


def test_incomplete_upload_can_be_cancelled(batches: Batches) -> None:
    batches.create("cancelled-upload", upload={}, describer=FAST_DESCRIBER)
    batches.patch("cancelled-upload", cancel=True)
    status = batches.wait("cancelled-upload", "Failed")
    assert condition(status, "Failed")["reason"] == "Cancelled"
