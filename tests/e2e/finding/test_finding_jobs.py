"""Tests of GET /jobs with filters, GET /jobs/{job_id} and GET /jobs/export on the real system."""

import csv
import io
import json

import pytest

from finding.conftest import LABEL, Planted


def test_label_finds_live_and_evicted_jobs_newest_first(planted: Planted) -> None:
    names = planted.names()
    assert names[0] == planted.live
    assert sorted(names[1:]) == sorted([planted.evicted, planted.failed])
    assert planted.names(limit=1) == names


def test_filters_are_combined(planted: Planted) -> None:
    (failed,) = planted.jobs(phase="failed")
    assert failed["job_id"] == planted.failed
    reason = failed["error"]["reason"]
    assert planted.names(reason=reason) == [planted.failed]
    assert planted.names(reason=reason, phase="done") == []

    created = planted.jobs(phase="done")[0]["created_at"]
    assert planted.live in planted.names(after=created)
    assert planted.live not in planted.names(before=created)
    assert planted.names(describer="none") == []


def test_jobs_have_everything_wherever_they_are(planted: Planted) -> None:
    for name in (planted.live, planted.evicted):
        details = planted.history.api.get(f"/jobs/{name}").json()
        assert details["labels"] == {LABEL: planted.word}
        assert details["priority"] == 1
        assert details["result"]["caption"] == planted.history.result(name)["caption"]
        assert details.items() >= planted.history.status(name).items()

    failed = planted.history.api.get(f"/jobs/{planted.failed}").json()
    assert (failed["status"], failed["result"]) == ("failed", None)


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_export_is_complete_and_can_be_continued(planted: Planted, format_: str) -> None:
    query = {"label": f"{LABEL}={planted.word}", "format": format_}

    def exported(**more: str) -> list[tuple[str, str]]:
        text = planted.history.api.get("/jobs/export", params={**query, **more}).text
        if format_ == "jsonl":
            lines = [json.loads(line) for line in text.splitlines() if line]
            return [(it["job_id"], it["cursor"]) for it in lines]
        rows = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""))
        return [(row[8], row[12]) for row in rows if row and row[8] != "job_id"]

    found = exported()
    assert [name for name, _ in found] == planted.names()
    assert exported(cursor=found[0][1]) == found[1:]
    assert exported(limit="1") == found[:1]
