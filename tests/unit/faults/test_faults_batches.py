"""Tests of the fault test's ImageBatches: the checker must detect every kind of violation."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from faults.batches import provider
from faults.batches.history import (
    BatchHistory,
    BatchObservation,
    ExpectedLine,
    Planned,
    allowed_again,
    check_batches,
)
from faults.batches.load import HARMFUL, HARMFUL_EACH, campaign
from faults.batches.summary import batch_summary
from faults.plan import Fault, Kind
from vision_node_contract.json_types import Json

MANY = Planned(
    "many",
    {
        "a": ExpectedLine("answer a"),
        "b": ExpectedLine("answer b"),
        "bad": ExpectedLine(reasons=frozenset({"DescriberFailed"})),
    },
    is_paid=True,
)
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}


def seen(
    version: int, phase: str, done: int, failed: int, counted: str, **status: Any
) -> BatchObservation:
    deleted, total = status.pop("deleted", False), status.pop("total", 3)
    images = {"total": total, "done": done, "failed": failed}
    state = {"phase": phase, "images": images, "counted": counted, **status}
    return BatchObservation(version, "many", version, state, deleted)


def line(index: int, custom_id: str, **outcome: Any) -> Json:
    """Return a line of the results, by default with the right description."""
    result = {"result": {"description": f"answer {custom_id}"}}
    return {"index": index, "customId": custom_id, **(outcome or result)}


def error(reason: str) -> Json:
    return {"error": {"reason": reason, "message": "m"}}


QUEUED = BatchObservation(0, "many", 1, {"phase": "queued"})
HALF = seen(2, "processing", 1, 0, "0")
END = seen(3, "done", 2, 1, "0-2", **COMPLETE)
GOOD = [QUEUED, HALF, END]
LINES = [line(0, "a"), line(1, "b"), line(2, "bad", **error("DescriberFailed"))]
ASKED = {"a": 1, "b": 1, "bad": 2}


def history(*observations: BatchObservation, **parts: Any) -> BatchHistory:
    """Return a history of one ImageBatch. It may ask for one answer again.

    The last fault is at 5 s. Afterward, the batch may stand still for 60 s.
    """
    known: Json = {"results": {"many": LINES}, "asked": ASKED, "allowed_again": 1, "last_fault": 5}
    return BatchHistory([MANY], [*(observations or GOOD)], **(known | {"patience": 60} | parts))


def with_lines(*lines: Json) -> BatchHistory:
    return history(results={"many": [*lines]})


VALID = {
    "all as expected": history(),
    "a slow machine": history(
        BatchObservation(60, "many", 2, HALF.status), BatchObservation(115, "many", 3, END.status)
    ),
    "events out of order": history(*reversed(GOOD)),
    "no answer asked twice": history(asked={"a": 1, "b": 1}),
    "lines in another order": with_lines(*reversed(LINES)),
}


@pytest.mark.parametrize("case", VALID)
def test_valid_history_of_batches_passes(case: str) -> None:
    assert check_batches(VALID[case]) == []


VIOLATIONS: dict[str, tuple[BatchHistory, str]] = {
    "never seen": (
        BatchHistory([MANY]),
        "many: lost: it was acknowledged, but it does not exist",
    ),
    "deleted": (
        history(*GOOD, seen(4, "done", 2, 1, "0-2", deleted=True)),
        "many: lost",
    ),
    "never ended": (history(QUEUED, HALF), "many: stuck"),
    "no progress for long": (
        history(HALF, BatchObservation(66, "many", 3, END.status)),
        "many: no progress for 61 s, 0 s after the last fault",
    ),
    "no progress for long, after another step": (
        history(
            BatchObservation(25, "many", 2, HALF.status),
            BatchObservation(86, "many", 3, END.status),
        ),
        "many: no progress for 61 s, 20 s after the last fault",
    ),
    "failed": (
        history(HALF, seen(3, "failed", 2, 1, "0-2")),
        "many: ended without the condition Complete",
    ),
    "changed after its end": (
        history(*GOOD, seen(4, "done", 2, 1, "0-2", **COMPLETE, rate="1/s")),
        "many: changed after it was done",
    ),
    "counts went backward": (
        history(HALF, seen(3, "processing", 0, 1, "0"), seen(4, "done", 2, 1, "0-2", **COMPLETE)),
        "many: went backward from (3, 1, 0) to (3, 0, 1)",
    ),
    "counted images are no longer counted": (
        history(HALF, seen(3, "processing", 1, 0, "1"), seen(4, "done", 2, 1, "0-2", **COMPLETE)),
        "many: 0 were counted, and then no longer",
    ),
    "counts without counted images": (
        history(seen(2, "processing", 1, 1, "0"), END),
        "many: 1 done and 1 failed, but 1 are counted",
    ),
    "counts beyond the total": (
        history(seen(2, "processing", 3, 1, "0-3"), END),
        "many: 3 done and 1 failed of only 3 images",
    ),
    "counts that the results deny": (
        history(HALF, seen(3, "done", 3, 0, "0-2", **COMPLETE)),
        "many: the status has (total, done, failed) = (3, 3, 0), but the results have (3, 2, 1)",
    ),
    "results unreadable": (
        history(results={"many": "no route"}),
        "many: its results can't be read: no route",
    ),
    "results not requested": (history(results={}), "many: its results can't be read"),
    "an image without a line": (with_lines(*LINES[1:]), "many: a have no line in the results"),
    "an image with two lines": (
        with_lines(*LINES, LINES[0]),
        "many: a have several lines in the results",
    ),
    "an unknown image": (
        with_lines(*LINES, line(3, "c")),
        "many: c are in the results, but not in the batch",
    ),
    "a line without a customId": (
        with_lines(*LINES[:2], {"ranges": "2", **error("ResultGone")}),
        "many: 1 lines name no image: {'ranges': '2'",
    ),
    "an index twice": (
        with_lines(LINES[0], line(0, "b"), LINES[2]),
        "many: the indexes in the results are 0,2",
    ),
    "another image's result": (
        with_lines(line(0, "a", result={"description": "answer b"}), *LINES[1:]),
        "many: a: the result is that of another image",
    ),
    "a good image failed": (
        with_lines(line(0, "a", **error("DescriberFailed")), *LINES[1:]),
        "many: a: failed with {'reason': 'DescriberFailed', 'message': 'm'}, "
        "but should have no error",
    ),
    "a harmful image failed with another reason": (
        with_lines(*LINES[:2], line(2, "bad", **error("WorkerLost"))),
        "many: bad: failed with {'reason': 'WorkerLost', 'message': 'm'}, "
        "but should have DescriberFailed",
    ),
    "a harmful image was described": (
        with_lines(*LINES[:2], line(2, "bad")),
        "many: bad: was described, but must fail with DescriberFailed",
    ),
    "neither a result nor an error": (
        with_lines({"index": 0, "customId": "a"}, *LINES[1:]),
        "many: a: must have either a result or an error",
    ),
    "both a result and an error": (
        with_lines(LINES[0] | error("DescriberFailed"), *LINES[1:]),
        "many: a: must have either a result or an error",
    ),
    "a shard is left": (history(shards_left=["many-1-0"]), "many-1-0: this shard is left"),
    "paid for again too often": (
        history(asked={"a": 3, "b": 1, "bad": 1}),
        "2 answers were paid for again, but only 1 were in flight during faults: a",
    ),
    "described without asking": (
        history(asked={"a": 1}),
        "described without asking the provider: b",
    ),
    "asked for an unknown image": (
        history(asked={**ASKED, "c": 1}),
        "the provider was asked for images that no batch has: c",
    ),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_violation_of_a_batch_is_reported(case: str) -> None:
    found, expected = VIOLATIONS[case]
    assert any(broken.startswith(expected) for broken in check_batches(found)), check_batches(found)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([], 0),
        ([Kind.KILL_OPERATOR, Kind.KILL_API, Kind.PAUSE_OPERATOR], 0),
        ([Kind.KILL_WORKER, Kind.KILL_WORKER], 8),
        ([Kind.KILL_MINIO], 12),
        ([Kind.KILL_APISERVER, Kind.KILL_WORKER], 16),
    ],
)
def test_answers_in_flight_may_be_asked_for_again(kinds: list[Kind], expected: int) -> None:
    injected = [(0.0, Fault(0, kind, 0)) for kind in kinds]
    assert allowed_again(injected, workers=3, concurrency=4) == expected


def test_campaign_has_5000_images_in_three_batches() -> None:
    made = campaign(1, "run")
    expected = [batch.planned.expected for batch in made.batches]
    assert sum(map(len, expected)) == 5000
    assert [batch.planned.is_paid for batch in made.batches] == [False, True, False]

    harmful = Counter(it.reasons for lines in expected for it in lines.values() if it.reasons)
    assert harmful == {reasons: HARMFUL_EACH for _, _, reasons in HARMFUL}
    assert all(it.says or it.reasons for lines in expected for it in lines.values())


def test_campaign_names_only_images_that_are_in_the_inbox() -> None:
    made = campaign(1, "run")
    for batch, name in zip(made.batches, made.manifests, strict=False):
        listed = [json.loads(text) for text in made.manifests[name].splitlines()]
        assert batch.spec["manifest"] == f"inbox/{name}"
        assert [it["customId"] for it in listed] == list(batch.planned.expected)
        assert {it["key"].removeprefix("inbox/") for it in listed} <= made.images.keys()

    folder = made.batches[-1]
    prefix = folder.spec["prefix"].removeprefix("inbox/")
    found = {name.removeprefix(prefix) for name in made.images if name.startswith(prefix)}
    assert found == folder.planned.expected.keys()


def test_seed_determines_the_campaign() -> None:
    assert campaign(1, "run") == campaign(1, "run")
    assert campaign(1, "run").batches != campaign(2, "run").batches


def test_summary_of_batches_has_the_figures() -> None:
    lines = batch_summary(history()).splitlines()
    assert lines == [
        "many: done, 2 of 3 described, 1 failed (1 DescriberFailed), in 3.0 s, -2.0 s from the "
        "last fault; 3 states were observed",
        "the provider was asked for 3 images, and 1 times again (1 may have been in flight during "
        "faults)",
    ]
    assert batch_summary(BatchHistory([MANY])).startswith("many: never seen")


@pytest.fixture
def paid_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run the provider, and yield its URL."""
    monkeypatch.setattr(provider, "ANSWER_SECONDS", 0)
    monkeypatch.setattr(provider, "asked", Counter())

    with provider.Server(("127.0.0.1", 0), provider.Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_provider_counts_what_it_is_asked(paid_url: str) -> None:
    with httpx.Client(base_url=paid_url, trust_env=False) as client:
        for prompt in ("a", "a", "b"):
            headers = {"Vision-Node-Options": json.dumps({"prompt": prompt, "detail": "low"})}
            answer = client.post("/describe", content=b"image", headers=headers)
            assert answer.json()["description"] == provider.answer_text(prompt)

        assert client.get("/asked").json() == {"asked": {"a": 2, "b": 1}}
