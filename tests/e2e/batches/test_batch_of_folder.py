"""Tests of the main use case: apply an ImageBatch of a folder, watch it, and read its results."""

import json
from collections.abc import Callable

import httpx
import pytest
from conftest import FAST_DESCRIBER, Kubectl, wait_for

from batches.batch import FOLDER, Batches, reasons
from batches.conftest import PLAIN

NAME = "holiday"


@pytest.fixture(scope="module")
def complete(batches: Batches) -> Batches:
    """Describe a folder with one broken image and two hidden ones."""
    batches.create(NAME, prefix=f"inbox/{FOLDER}/plain/", describer=FAST_DESCRIBER)
    batches.wait(NAME, "Complete")
    return batches


def test_every_image_of_a_folder_is_described_once(complete: Batches) -> None:
    """Hidden files are skipped, and a broken image fails alone."""
    status, lines = complete.status(NAME), complete.lines(NAME)
    assert (status["phase"], status["manifest"]["skipped"]) == ("done", 2)
    assert status["images"] == {"total": PLAIN, "done": PLAIN - 1, "failed": 1}
    assert [it["customId"] for it in status["failures"]] == ["broken.jpg"]

    names = [f"{n:02}.jpg" for n in range(PLAIN - 1)]
    assert sorted(line["customId"] for line in lines) == [*names, "broken.jpg"]
    assert sorted(line["index"] for line in lines) == list(range(PLAIN))
    assert reasons(lines) == {"broken.jpg": "ImageUnreadable"}

    results = {line["customId"]: line["result"] for line in lines if "result" in line}
    assert {it["_generated_by"] for it in results.values()} == {"vision-node-gpt"}
    widths = {name: it["facts"]["width"] for name, it in results.items()}
    assert widths == {name: 20 + n for n, name in enumerate(names)}


def test_results_can_be_resumed_after_each_part(complete: Batches) -> None:
    parts = complete.status(NAME)["results"]["index"]
    texts = [complete.text(NAME, after) for after in range(parts + 1)]
    assert parts > 0
    assert texts[-1] == ""
    assert all(texts[0].endswith(text) for text in texts)
    assert [len(text) for text in texts] == sorted({len(text) for text in texts}, reverse=True)


def test_api_shows_the_state_of_a_batch(complete: Batches, api: httpx.Client) -> None:
    state = wait_for(lambda: complete.state(NAME), lambda found: found["status"] == "done")
    assert state["images"] == {"total": PLAIN, "done": PLAIN - 1, "failed": 1}
    assert (state["describer"], state["error"], state["waiting"]) == (FAST_DESCRIBER, None, None)
    assert [it["custom_id"] for it in state["failures"]] == ["broken.jpg"]
    assert api.get(state["links"]["results"]).text == complete.text(NAME)

    unknown = [api.get(path) for path in ("/batches/unknown", "/batches/unknown/results")]
    assert [it.status_code for it in unknown] == [404, 404]
    assert {it.json()["reason"] for it in unknown} == {"BatchNotFound"}


def test_kubectl_lists_batches_and_tells_their_story(complete: Batches, kubectl: Kubectl) -> None:
    heads, *rows = kubectl("get", "imagebatches").splitlines()
    assert heads.split() == ["NAME", "PHASE", "TOTAL", "DONE", "FAILED", "RATE", "AGE"]
    (row,) = [row.split() for row in rows if row.startswith(f"{NAME} ")]
    assert row[1:5] == ["done", str(PLAIN), str(PLAIN - 1), "1"]
    assert row[5].endswith("/s")
    assert f"imagebatch.vision-node.dev/{NAME}" in kubectl("get", "ib", "-o", "name")

    wait_for(lambda: event_reasons(kubectl), lambda found: "Completed" in found)
    story = kubectl("describe", "imagebatch", NAME)
    words = ("ManifestFrozen", "Completed", "broken.jpg", "ImageUnreadable")
    assert [it for it in words if it not in story] == []


def event_reasons(kubectl: Kubectl) -> set[str]:
    """Return the reasons of the batch's Events."""
    selector = f"involvedObject.kind=ImageBatch,involvedObject.name={NAME}"
    path = "jsonpath={.items[*].reason}"
    return set(kubectl("get", "events", "--field-selector", selector, "-o", path).split())


def test_kubectl_explains_a_field(kubectl: Kubectl) -> None:
    assert "Folder in the inbox" in kubectl("explain", "imagebatch.spec.prefix")


def test_finished_batch_cannot_be_changed(complete: Batches, refused: Callable[..., str]) -> None:
    change = json.dumps({"spec": {"prefix": "inbox/other/"}})
    said = refused("patch", "imagebatch", NAME, "--type=merge", "-p", change)
    assert "spec is immutable" in said


def test_deleted_batch_leaves_nothing(complete: Batches, kubectl: Kubectl) -> None:
    """This test is the last one of the module."""
    uid = complete.uid(NAME)
    folder = complete.status(NAME)["manifest"]["folder"].split("/")[-2]
    assert {key.split("/")[0] for key in complete.objects(uid)} == {folder, "index", "results"}

    kubectl("delete", "imagebatch", NAME)
    wait_for(lambda: complete.objects(uid), lambda left: not left)
    assert complete.shards(uid) == []
