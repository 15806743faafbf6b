"""Tests of `make status`, which counts the ImageJobs and shows the newest ones."""

import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cluster import __main__ as command_line
from cluster import status
from cluster.errors import ClusterError
from cluster.status import Tally, summary


def job(number: int, phase: str) -> dict[str, object]:
    minute, second = divmod(number, 60)
    hour, minute = divmod(minute, 60)
    created = f"2026-01-01T{hour:02}:{minute:02}:{second:02}Z"
    return {
        "metadata": {"name": f"job-{number:05}", "creationTimestamp": created},
        "status": {"phase": phase},
    }


@dataclass
class ApiServer:
    """A fake API server that lists jobs page by page, in an arbitrary order."""

    jobs: list[dict[str, object]]
    requests: list[tuple[str, ...]] = field(default_factory=list)

    def kubectl_output(self, *arguments: str) -> str:
        self.requests.append(arguments)
        if "--raw" not in arguments:
            return f"{arguments[-1]} and others\n"

        query = parse_qs(urlsplit(arguments[2]).query)
        # The tokens contain characters that must be percent-encoded in a URL.
        start = int(query.get("continue", ["+/=0"])[0].removeprefix("+/="))
        end = start + int(query["limit"][0])
        metadata: dict[str, object] = {}
        if end < len(self.jobs):
            metadata = {"continue": f"+/={end}", "remainingItemCount": len(self.jobs) - end}

        return json.dumps(
            {"kind": "ImageJobList", "metadata": metadata, "items": self.jobs[start:end]}
        )

    @property
    def pages(self) -> int:
        return sum("--raw" in arguments for arguments in self.requests)


def many(number: int) -> list[dict[str, object]]:
    jobs = [job(n, "failed" if n % 100 == 0 else "done") for n in range(number)]
    random.Random(1).shuffle(jobs)  # noqa: S311  # not a secret
    return jobs


def test_newest_twenty_of_many_jobs_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = ApiServer(many(13_000))
    status.show(server)
    output = capsys.readouterr().out
    assert "13,000 image jobs: 12,870 done, 130 failed." in output
    assert "The newest 20, newest first:" in output
    assert server.requests[-1][-20:] == tuple(f"job-{n:05}" for n in range(12_999, 12_979, -1))
    assert len(output.splitlines()) < 40


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", ["No pods."]),
        ("NAME\nolder\nnewer", ["NAME", "newer", "older"]),
        (
            "\n".join(["NAME", *map(str, range(23))]),
            ["NAME", *map(str, range(22, 2, -1)), "… and 3 older pods"],
        ),
    ],
)
def test_newest_rows_of_pods_are_shown(table: str, expected: list[str]) -> None:
    assert status.newest_rows(table, "pods") == expected


def test_jobs_are_read_in_pages(capsys: pytest.CaptureFixture[str]) -> None:
    server = ApiServer(many(1_200))
    assert status.count(server).phases.total() == 1_200
    assert server.pages == 3


def test_unread_jobs_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status, "MAX_PAGES", 2)
    server = ApiServer(many(5_000))
    tally = status.count(server)
    assert server.pages == 2
    assert any("About 4,000 more were not read" in line for line in summary(tally))


def test_all_jobs_are_shown_if_there_are_few() -> None:
    tally = status.count(ApiServer([job(1, "queued"), job(2, "processing"), job(3, "done")]))
    assert summary(tally) == ["3 image jobs: 1 queued, 1 processing, 1 done.", "Newest first:"]


def test_no_table_is_requested_if_there_are_no_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    server = ApiServer([])
    status.show(server)
    assert "No image jobs." in capsys.readouterr().out
    assert not any("imagejobs" in arguments for arguments in server.requests)


def test_job_without_phase_counts_as_queued() -> None:
    new = job(1, "") | {"status": {}}
    assert status.count(ApiServer([new])).phases == {"queued": 1}


def test_unknown_phase_is_counted() -> None:
    tally = status.count(ApiServer([job(1, "paused"), job(2, "done")]))
    assert "1 done, 1 paused" in summary(tally)[0]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"metadata": {}}', '{"metadata": {}, "items": [{}]}', "null"]
)
def test_invalid_list_is_an_error(text: str) -> None:
    with pytest.raises(ClusterError, match="Can't parse"):
        status.parse(text)


def test_status_uses_kubeconfig_of_named_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ApiServer([job(1, "done")]).kubectl_output("get", "--raw", "?limit=500")
    kubectl = tmp_path / "bin/kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(
        f"#!/bin/sh\ncase $* in *--raw*) echo '{page}' ;; *) echo $KUBECONFIG $* ;; esac\n"
    )
    kubectl.chmod(0o755)
    kubeconfig = tmp_path / "clusters/two/kubeconfig"
    kubeconfig.parent.mkdir(parents=True)
    kubeconfig.touch()
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.setenv("VISION_NODE_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["cluster", "status", "--name", "two"])
    assert command_line.main() == 0
    output = capsys.readouterr().out
    assert "1 image jobs: 1 done." in output
    assert f"{kubeconfig} -n vision-node --request-timeout=30s get imagejobs" in output


def test_tally_keeps_only_newest_jobs() -> None:
    tally = Tally()
    for page in status._pages(ApiServer(many(3_000))):
        tally.add(page)
        assert len(tally.newest) <= status.SHOWN
