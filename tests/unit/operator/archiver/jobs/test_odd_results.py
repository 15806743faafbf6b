"""Tests of results that are not as expected, because a describer may return anything."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from archive_place import Place
from archiver_helpers import until
from vision_node_contract.history.records import ImageRow
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.ranges import RangeSet
from vision_node_operator.archiver.batch_history.result_lines import ResultLines

BATCH = ImageBatch.model_validate({"metadata": {"name": "b", "uid": "u"}, "spec": {"prefix": "x/"}})


@pytest.mark.parametrize("tags", [5, "cat", {"cat": 1}, [5, None, "cat"]])
def test_odd_tags_are_archived_as_they_are(tags: object) -> None:
    lines = ResultLines(BATCH, "results", RangeSet.parse("0-1"), datetime.now(UTC))
    line = {"index": 0, "customId": "c", "key": "k", "result": {"caption": "c", "tags": tags}}
    (row,) = lines.feed(json.dumps(line).encode() + b"\n")
    assert json.loads(row.result or "")["tags"] == tags


async def test_imagejob_without_a_row_holds_up_no_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_job = ImageRow.of_job

    def fail(job: ImageJob, *others: Any) -> ImageRow:
        if job.metadata.name == "odd":
            raise RecursionError
        return of_job(job, *others)

    monkeypatch.setattr(ImageRow, "of_job", fail)
    for name in ("odd", "fine"):
        place.create_done(name, 3601)
    async with place.archiver() as jobs:
        await until(lambda: list(place.api.bodies) == ["odd"])
        await until(lambda: not len(jobs.archiver.queue))
        assert jobs.archiver.counts.unreadable == 1

    assert place.names == ["fine"]


def test_line_with_odd_content_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(ImageRow, "of_line", fail)
    lines = ResultLines(BATCH, "results", RangeSet.parse("0-1"), datetime.now(UTC))
    assert list(lines.feed(b'{"index": 0, "key": "k", "result": {"caption": "c"}}\n')) == []
    assert lines.unreadable == 1
