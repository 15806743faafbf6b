"""The commands that print what the server has."""

import argparse
import sys
from dataclasses import asdict

from ..models import Describer, ListedBatch
from ..sync_client import VisionNode
from .exit_codes import ExitCode
from .formats import Csv, JsonLines, json_line
from .terminal import table


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


def _batch_row(found: ListedBatch) -> tuple[str, ...]:
    counts = found.images
    numbers = (str(counts.total), str(counts.done), str(counts.failed))
    return (found.name, found.status, found.describer, *numbers, found.created_at or "")
