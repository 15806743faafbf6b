"""Tests of batches of the inbox that are created over HTTP, and of kubectl's view of uploads."""

import json
from collections.abc import Callable

import httpx
import pytest
from batches.batch import FOLDER, Batches, manifest
from conftest import FAST_DESCRIBER, Kubectl

from uploads.image_sizes import described, sizes
from uploads.pictures_to_upload import drawn
from uploads.upload_requests import accepted, post_form, post_json, refused_with

IMAGES = drawn(5)
IN_INBOX = {f"http/{name}": data for name, data in IMAGES.items()}

PREFIX = f"inbox/{FOLDER}/http/"
LIST = f"inbox/{FOLDER}/http.jsonl"

UPLOADED = "seen-by-kubectl"


@pytest.fixture(scope="module")
def inbox(batches: Batches) -> Batches:
    """Store images and a list of them in the inbox."""
    batches.upload(IN_INBOX)
    lines = [{"customId": name, "key": f"{PREFIX}{name}"} for name in IMAGES]
    batches.objects("none", put={LIST: manifest(lines)})
    return batches


@pytest.mark.parametrize(
    ("name", "source"), [("of-folder", {"prefix": PREFIX}), ("of-list", {"manifest": LIST})]
)
def test_batch_of_the_inbox_is_created_with_json(
    inbox: Batches, api: httpx.Client, name: str, source: dict[str, str]
) -> None:
    options = {"options": {"language": "en"}, "priority": 3, "ttlSecondsAfterFinished": 3600}
    answer = accepted(post_json(api, {"name": name, **source, **options}))
    assert (answer["name"], answer["images"], answer["refused"]["count"]) == (name, 0, 0)

    status = inbox.wait(name, "Complete")
    assert status["images"] == {"total": len(IMAGES), "done": len(IMAGES), "failed": 0}
    assert described(inbox.lines(name)) == sizes(IMAGES)
    state = inbox.state(name)
    assert {field: state["source"][field] for field in source} == source
    assert state["expires_at"] is not None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prefix": PREFIX, "upload": {}},
        {"prefix": PREFIX, "manifest": LIST},
        {"prefix": "images/"},
        {"prefix": PREFIX, "priority": "high"},
        {"prefix": PREFIX, "cancel": True},
        {"upload": {"complete": True}},
    ],
    ids=["no source", "upload too", "list too", "elsewhere", "type", "unknown", "complete"],
)
def test_invalid_json_is_refused(
    api: httpx.Client, exists: Callable[[str], bool], body: dict[str, object]
) -> None:
    answer = post_json(api, {"name": "invalid", **body})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert not exists("invalid")


def test_unknown_describer_is_refused(api: httpx.Client, exists: Callable[[str], bool]) -> None:
    answer = post_form(api, list(IMAGES.items()), name="unknown", describer="no-such-describer")
    assert refused_with(answer, 422) == "DescriberNotFound"
    assert not exists("unknown")


@pytest.fixture(scope="module")
def seen(batches: Batches, api: httpx.Client) -> Batches:
    """Describe an uploaded batch."""
    accepted(post_form(api, list(IMAGES.items()), name=UPLOADED, prompt="What is it?"))
    batches.wait(UPLOADED, "Complete")
    return batches


def test_kubectl_shows_an_uploaded_batch(seen: Batches, kubectl: Kubectl) -> None:
    rows = [line.split() for line in kubectl("get", "imagebatches").splitlines()]
    (row,) = [row for row in rows if row[0] == UPLOADED]
    assert row[1:5] == ["done", str(len(IMAGES)), str(len(IMAGES)), "0"]

    spec = json.loads(kubectl("get", "imagebatch", UPLOADED, "-o", "json"))["spec"]
    assert (spec["describer"], spec["options"]["prompt"]) == (FAST_DESCRIBER, "What is it?")
    assert (spec["upload"]["complete"], spec["upload"]["lists"]) == (True, 1)
    attempts = {key.split("/")[1] for key in seen.objects(seen.uid(UPLOADED)) if key[:2] == "u/"}
    assert attempts == {spec["upload"]["attempt"]}


@pytest.mark.parametrize("change", [{"complete": False}, {"attempt": "other"}, {"lists": 0}])
def test_complete_upload_cannot_be_changed(
    seen: Batches, refused: Callable[..., str], change: dict[str, object]
) -> None:
    patch = json.dumps({"spec": {"upload": change}})
    said = refused("patch", "imagebatch", UPLOADED, "--type=merge", "-p", patch)
    assert "a complete upload can't be changed" in said


@pytest.mark.parametrize("other", [{"prefix": PREFIX}, {"manifest": LIST}])
def test_upload_with_a_second_source_is_refused(
    refused: Callable[..., str], other: dict[str, str]
) -> None:
    body = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "ImageBatch",
        "metadata": {"name": "two-sources"},
        "spec": {"upload": {}, "describer": FAST_DESCRIBER, **other},
    }
    assert "set exactly one of spec.prefix" in refused("apply", "-f", "-", input=json.dumps(body))
