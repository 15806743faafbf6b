"""Tests of what users do with an uploaded batch over HTTP: watch, suspend, cancel, retry."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from batches.batch import Batches, done, reasons
from conftest import FAST_DESCRIBER, wait_for
from vision_node_contract.json_types import Json

from uploads.image_sizes import described, sizes
from uploads.pictures_to_upload import CUT_OFF, drawn, slow_tar
from uploads.upload_requests import accepted, key_header, post_archive, post_form, refused_with

SLOW_IMAGES = 30
"""Number of slow images. Ten are described per second."""

MIXED = "mixed"
FORMULA = "=1+1.jpg"
GOOD = {FORMULA: drawn(1)["drawn/0000.jpg"], **drawn(4)}
BROKEN = ["broken/1.jpg", "broken/2.jpg"]

COLUMNS = ["customId", "file", "phase", "caption", "alt", "tags", "text", "error"]


@pytest.fixture(scope="module")
def mixed(api: httpx.Client, batches: Batches) -> Batches:
    """Describe a batch with some images that no worker can read."""
    files = [*GOOD.items(), *((name, CUT_OFF) for name in BROKEN)]
    answer = accepted(post_form(api, files, name=MIXED))
    assert (answer["images"], answer["refused"]["count"]) == (len(files), 0)

    batches.wait(MIXED, "Complete")
    return batches


def test_images_that_no_worker_can_read_fail_alone(mixed: Batches) -> None:
    lines = mixed.lines(MIXED)
    assert described(lines) == sizes(GOOD)
    assert reasons(lines) == dict.fromkeys(BROKEN, "ImageUnreadable")


def test_single_images_of_a_batch_have_status_and_result(mixed: Batches, api: httpx.Client) -> None:
    for line in mixed.lines(MIXED):
        job = f"{MIXED}.{line['index']}"
        status, result = api.get(f"/status/{job}").json(), api.get(f"/result/{job}")
        assert (status["job_id"], status["describer"]) == (job, FAST_DESCRIBER)
        if "error" in line:
            assert (status["status"], status["error"]["reason"]) == ("failed", "ImageUnreadable")
            assert refused_with(result, 409) == "ImageUnreadable"
        else:
            assert (status["status"], result.status_code) == ("done", 200)
            assert result.json().items() >= line["result"].items()

    for path in (f"/status/{MIXED}.99", f"/result/{MIXED}.99"):
        assert refused_with(api.get(path), 404) == "JobNotFound"


def test_results_are_a_table_that_is_safe_in_a_spreadsheet(
    mixed: Batches, api: httpx.Client
) -> None:
    mixed.text(MIXED)
    answer = api.get(f"/batches/{MIXED}/results", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    table = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))
    rows = list(table)

    assert table.fieldnames == COLUMNS
    assert sorted(row["customId"] for row in rows) == sorted([f"'{FORMULA}", *drawn(4), *BROKEN])
    assert Counter(row["phase"] for row in rows) == {"done": len(GOOD), "failed": len(BROKEN)}
    assert {row["error"].split(":")[0] for row in rows} == {"", "ImageUnreadable"}


@pytest.mark.parametrize(("phase", "expected"), [("done", list(GOOD)), ("failed", BROKEN)])
def test_results_of_one_phase(
    mixed: Batches, api: httpx.Client, phase: str, expected: list[str]
) -> None:
    mixed.text(MIXED)
    query = {"phase": phase}
    lines = api.get(f"/batches/{MIXED}/results", params=query).text.splitlines()
    table = api.get(f"/batches/{MIXED}/results", params={"format": "csv", **query}).text
    assert sorted(json.loads(line)["customId"] for line in lines) == sorted(expected)
    assert len(list(csv.reader(io.StringIO(table)))) == 1 + len(expected)


def test_failed_images_are_described_again(mixed: Batches, api: httpx.Client) -> None:
    """The retry is a batch of its own, which needs the first one no longer.

    This test is the last one that uses the batch.
    """
    uid = mixed.uid(MIXED)
    headers = key_header(f"retry-{uid}")
    answers = [accepted(api.post(f"/batches/{MIXED}/retry", headers=headers)) for _ in range(2)]
    (name,) = {answer["name"] for answer in answers}
    assert len({answer["uid"] for answer in answers} | {uid}) == 2

    assert api.delete(f"/batches/{MIXED}").status_code == 204
    wait_for(lambda: mixed.objects(uid), lambda left: not left)
    status = mixed.wait(name, "Complete")
    assert status["images"] == {"total": len(BROKEN), "done": 0, "failed": len(BROKEN)}
    assert reasons(mixed.lines(name)) == dict.fromkeys(BROKEN, "ImageUnreadable")


def test_suspended_upload_continues_where_it_was(
    api: httpx.Client, batches: Batches, unhurried: str
) -> None:
    upload_slow(api, "suspended", unhurried)
    batches.until_some_are_done("suspended")
    assert changed(api, "suspended", "suspend")["suspended"] is True
    batches.wait("suspended", "Suspended")
    uid = batches.uid("suspended")
    wait_for(lambda: batches.shards(uid), lambda shards: not shards)
    assert 0 < done(batches.status("suspended")) < SLOW_IMAGES
    assert refused_with(api.post("/batches/suspended/retry"), 409) == "NotFinished"

    assert changed(api, "suspended", "resume")["suspended"] is False
    batches.wait("suspended", "Complete")
    names = Counter(line["customId"] for line in batches.lines("suspended"))
    assert names == Counter(list(drawn(SLOW_IMAGES)))
    for verb, reason in (("suspend", "BatchFinished"), ("retry", "NothingFailed")):
        assert refused_with(api.post(f"/batches/suspended/{verb}"), 409) == reason


def test_cancelled_upload_keeps_its_results(
    api: httpx.Client, batches: Batches, unhurried: str
) -> None:
    upload_slow(api, "cancelled", unhurried)
    batches.until_some_are_done("cancelled")
    changed(api, "cancelled", "cancel")

    batches.wait("cancelled", "Failed")
    state = wait_for(lambda: batches.state("cancelled"), lambda it: it["status"] == "failed")
    assert (state["error"]["reason"], state["remaining_seconds"]) == ("Cancelled", 0)
    assert 0 < state["images"]["done"] < SLOW_IMAGES
    assert len(batches.lines("cancelled")) == state["images"]["done"]


def test_upload_can_begin_suspended(api: httpx.Client, batches: Batches) -> None:
    accepted(post_form(api, list(drawn(3).items()), name="later", suspend="true", priority="7"))
    batches.wait("later", "Suspended")
    assert batches.state("later")["images"]["done"] == 0
    changed(api, "later", "resume")
    assert batches.wait("later", "Complete")["images"]["done"] == 3


def test_batches_are_listed(api: httpx.Client, batches: Batches) -> None:
    """Page by page, from the newest to the oldest, and by their status."""
    for name in ("listed-1", "listed-2", "listed-3"):
        accepted(post_form(api, list(drawn(2).items()), name=name))
    for name in ("listed-1", "listed-2", "listed-3"):
        batches.wait(name, "Complete")
    everything = wait_for(
        lambda: listed(api, phase="done"), has_all("listed-1", "listed-2", "listed-3")
    )

    # Times of creation are whole seconds, so batches of the same second may be in any order.
    created = [entry["created_at"] for entry in everything.values()]
    assert created == sorted(created, reverse=True)
    found = {name: entry for name, entry in everything.items() if name.startswith("listed-")}
    assert {entry["source"] for entry in found.values()} == {"upload"}
    assert {json.dumps(it["images"]) for it in found.values()} == {
        json.dumps({"total": 2, "done": 2, "failed": 0})
    }
    assert not found.keys() & listed(api, phase="failed").keys()


def upload_slow(api: httpx.Client, name: str, describer: str) -> None:
    """Upload images that take their time."""
    accepted(post_archive(api, "tar", slow_tar(SLOW_IMAGES), name=name, describer=describer))


def changed(api: httpx.Client, name: str, verb: str) -> Json:
    """Suspend, resume or cancel a batch, and return its state in the answer."""
    answer = api.post(f"/batches/{name}/{verb}")
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


def listed(api: httpx.Client, **query: str) -> dict[str, Json]:
    """Return all batches of GET /batches by name, in their order, from pages of two."""
    found: dict[str, Json] = {}
    page: dict[str, Any] = {"limit": 2, **query}

    while True:
        answer = api.get("/batches", params=page)
        assert answer.status_code == 200, answer.text
        for entry in answer.json()["batches"]:
            assert entry["name"] not in found, "a batch is on two pages"
            found[entry["name"]] = entry

        if answer.json()["next"] is None:
            return found
        page["cursor"] = answer.json()["next"]


def has_all(*names: str) -> Callable[[dict[str, Json]], bool]:
    """Return a condition: all of these batches are in the list."""
    return lambda found: set(names) <= found.keys()
