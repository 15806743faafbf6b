"""The commands that print what the server has."""

import argparse
import json
import sys
from dataclasses import asdict
from itertools import islice
from typing import cast

from ..models import Describer, ListedBatch, ListedJob
from ..options import JobFilter
from ..sync_client import VisionNode
from .exit_codes import ExitCode
from .formats import Csv, JobCsv, JobLines, JsonLines, json_line
from .terminal import table

DEFAULT_ROWS = 50
"""Number of jobs in a table if the command line sets none. It fills a page or two."""


def list_describers(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print the Describers."""
    found = node.describers()
    if arguments.json:
        for it in found:
            _write(json_line(asdict(it)))
    else:
        rows = [_describer_row(it) for it in found]
        print(table(("NAME", "PROVIDER", "MODEL", "READY", "REASON", "DEFAULT"), rows))

    return ExitCode.DONE


def list_batches(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print the batches."""
    if arguments.json:
        for batch in node.batches():
            _write(json_line(batch.document))
    else:
        rows = [_batch_row(it) for it in node.batches()]
        print(table(("NAME", "STATUS", "DESCRIBER", "IMAGES", "DONE", "FAILED", "CREATED"), rows))

    return ExitCode.DONE


def list_jobs(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print jobs: a table of the newest ones, or everything about all of them."""
    wanted = _filter(arguments)
    if not arguments.json and not arguments.csv:
        limit = arguments.limit or DEFAULT_ROWS
        rows = [_job_row(it) for it in islice(node.jobs(**wanted), limit)]
        print(table(("ID", "STATUS", "DESCRIBER", "CREATED", "CAPTION OR ERROR"), rows))
        return ExitCode.DONE

    written_as = JobCsv() if arguments.csv else JobLines()
    _write(written_as.header)
    for job in node.export(limit=arguments.limit, **wanted):
        _write(written_as.line(job))
        sys.stdout.buffer.flush()

    return ExitCode.DONE


def show_job(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print everything about a job as JSON. The exit code says whether it has failed."""
    found = node.job(arguments.job)
    print(json.dumps(found.document, indent=2))
    return ExitCode.FAILED if found.status == "failed" else ExitCode.DONE


def _filter(arguments: argparse.Namespace) -> JobFilter:
    names = ("q", "phase", "describer", "batch", "reason", "after", "before", "owner")
    given = {name: getattr(arguments, name) for name in names}
    return cast("JobFilter", {**given, "labels": dict(arguments.label or ())})


def print_results(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print the results of a batch. The exit code says whether an error is among them."""
    written_as = Csv() if arguments.csv else JsonLines()
    parts = node.result_parts(
        arguments.batch, after=arguments.after, phase=arguments.phase, follow=arguments.follow
    )
    is_complete = True
    _write(written_as.header)
    for part in parts:
        for result in part.results:
            _write(written_as.line(result))
            is_complete = is_complete and result.error is None
        sys.stdout.buffer.flush()

    return ExitCode.DONE if is_complete else ExitCode.FAILED


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)


def _describer_row(found: Describer) -> tuple[str, ...]:
    return (
        found.name,
        found.provider,
        found.model or "",
        str(found.ready),
        found.reason or "",
        "yes" if found.default else "",
    )


def _job_row(found: ListedJob) -> tuple[str, ...]:
    said = f"{found.error.reason}: {found.error.message}" if found.error else found.caption or ""
    return (found.id, found.status, found.describer, found.created_at or "", said)


def _batch_row(found: ListedBatch) -> tuple[str, ...]:
    counts = found.images
    numbers = (str(counts.total), str(counts.done), str(counts.failed))
    return (found.name, found.status, found.describer, *numbers, found.created_at or "")
