"""The command `vision-node describe FOLDER`."""

import argparse
import uuid
from pathlib import Path

from ...async_client import AsyncVisionNode
from ...folder import find_images
from ...models import Json
from ..arguments import options_of
from ..exit_codes import ExitCode, UsageError
from ..formats import Csv, Format, JsonLines
from ..key_file import key_source
from ..terminal import safe_name
from .journal import Journal, JournalFile
from .reporter import Reporter
from .result_file import ResultFile
from .run import FolderRun, report_changes

JOURNAL_SUFFIX = ".state"
"""What the name of the journal has in addition to that of the results."""


async def describe_folder(folder: Path, arguments: argparse.Namespace) -> ExitCode:
    """Describe the images in a folder, or continue where a former run was interrupted.

    Raises:
        UsageError: The arguments do not fit the folder or the former run.
        VisionNodeError: The server refused a request, or did not respond.
        OSError: A file can't be read or written.
    """
    reporter = Reporter(is_quiet=arguments.quiet)
    if arguments.dry_run:
        return _list_images(folder, arguments.server)
    if arguments.out is None:
        raise UsageError("a folder needs --out FILE, where its results are written")

    _require_file(arguments.out)
    written_as: Format = Csv() if arguments.csv else JsonLines()
    file = JournalFile(arguments.out.with_name(arguments.out.name + JOURNAL_SUFFIX))
    with ResultFile(arguments.out, written_as) as results:
        if arguments.only_failed and file.load() is None:
            if not results.length:
                results.path.unlink()
            raise UsageError(f"--only-failed: there was no run with {arguments.out}")

        journal = _open_journal(file, results, folder, _options(arguments))
        _prepare(journal, reporter, only_failed=arguments.only_failed)
        if journal.stage == "finished":
            return _summarize(journal, results, reporter)

        key = key_source(arguments.api_key_file)
        async with AsyncVisionNode(arguments.server, arguments.timeout, api_key=key) as node:
            run = FolderRun(node, journal, file, results, reporter, has_sidecars=arguments.sidecar)
            await run.run()

        return _summarize(journal, results, reporter)


def _list_images(folder: Path, server: str) -> ExitCode:
    images = list(find_images(folder))
    for image in images:
        print(safe_name(image.custom_id))

    size = sum(it.size for it in images)
    Reporter().say(
        f"{len(images)} images ({size / 1e6:.1f} MB) would be sent to {server}. Nothing was sent."
    )
    return ExitCode.DONE


def _require_file(path: Path) -> None:
    if str(path) == "-" or (path.exists() and not path.is_file()):
        raise UsageError(
            f"--out {path}: a regular file is needed, so that an interrupted run can continue. "
            "`vision-node results BATCH --follow` prints results to stdout."
        )


def _options(arguments: argparse.Namespace) -> Json:
    return {name: value for name, value in options_of(arguments).items() if value is not None}


def _open_journal(file: JournalFile, results: ResultFile, folder: Path, options: Json) -> Journal:
    """Return the journal of the former run, or a new one.

    Raises:
        UsageError: The former run was another one, or there is nothing to describe.
    """
    journal = file.load()
    if journal is None:
        return _new_journal(results, folder, options)

    expected = Journal(str(folder.resolve()), results.format.name, options)
    for what in ("folder", "format", "options"):
        former, now = getattr(journal, what), getattr(expected, what)
        if former != now and journal.batch is None:
            # Nothing was sent. The server may have refused the former options.
            return _new_journal(results, folder, options)
        if former != now:
            raise UsageError(
                f"{results.path} was begun with a different {what}: {former}, not {now}. Repeat "
                "the same command, or choose another --out."
            )

    return journal


def _new_journal(results: ResultFile, folder: Path, options: Json) -> Journal:
    if results.length:
        raise UsageError(f"{results.path} exists, and is not of a former run; choose another --out")
    if next(find_images(folder), None) is None:
        results.path.unlink()
        raise UsageError(f"there are no images in {folder}")

    return Journal(str(folder.resolve()), results.format.name, options)


def _prepare(journal: Journal, reporter: Reporter, *, only_failed: bool) -> None:
    """Decide what to do, and tell the user if it is not the usual thing."""
    if journal.batch is not None and journal.stage != "finished":
        reporter.say(f"Continuing with the batch {journal.batch}.")
    if journal.stage not in {"sending", "retrying"}:
        report_changes(journal, reporter)

    if only_failed and journal.stage == "finished" and journal.failed > len(journal.refused):
        journal.stage, journal.key = "retrying", str(uuid.uuid4())


def _summarize(journal: Journal, results: ResultFile, reporter: Reporter) -> ExitCode:
    reporter.say(f"{journal.done} images described, {journal.failed} not: {results.path}")
    return ExitCode.FAILED if journal.failed else ExitCode.DONE
