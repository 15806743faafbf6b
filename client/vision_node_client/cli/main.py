"""The command vision-node."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from ..errors import ProblemError, ProtocolError, UnreachableError, VisionNodeError
from ..sync_client import VisionNode
from .access import manage_keys, show_identity, show_usage
from .acting import cancel_jobs, delete_jobs, redeliver_messages, retry_jobs
from .arguments import parse_arguments
from .describe_files import describe_files
from .exit_codes import ExitCode, UsageError
from .folder.command import describe_folder
from .key_file import key_source
from .listing import list_batches, list_describers, list_jobs, print_results, show_job
from .terminal import say_error

_COMMANDS = {
    "describers": list_describers,
    "jobs": list_jobs,
    "job": show_job,
    "batches": list_batches,
    "results": print_results,
    "cancel": cancel_jobs,
    "retry": retry_jobs,
    "delete": delete_jobs,
    "redeliver": redeliver_messages,
    "keys": manage_keys,
    "whoami": show_identity,
    "usage": show_usage,
}


def run() -> None:
    """Run the command, and exit."""
    sys.exit(main(sys.argv[1:]))


def main(argv: list[str]) -> int:
    """Run the command with these arguments, and return its exit code."""
    arguments = parse_arguments(argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        say_error(f"interrupted{_how_to_continue(arguments)}")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout, such as `head`, needs no more. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except (UsageError, VisionNodeError, ValueError, OSError) as error:
        code = _exit_code(error)
        is_away = code is ExitCode.UNREACHABLE
        say_error(_words_of(error) + (_how_to_continue(arguments) if is_away else ""))
        return code


def _run(arguments: argparse.Namespace) -> ExitCode:
    if arguments.command != "describe":
        with VisionNode(
            arguments.server, arguments.timeout, api_key=key_source(arguments.api_key_file)
        ) as node:
            return _COMMANDS[arguments.command](node, arguments)

    paths: list[Path] = arguments.paths
    for path in paths:
        path.stat()  # before anything is sent
    if not any(path.is_dir() for path in paths):
        _require_no_folder_options(arguments)
        return asyncio.run(describe_files(paths, arguments))
    if len(paths) > 1:
        raise UsageError("a folder can't be combined with other paths")
    if arguments.json:
        raise UsageError("--json is for single images; the results of a folder are always complete")
    if arguments.reuse:
        raise UsageError("--reuse is for single images; a folder becomes a batch, which has none")

    return asyncio.run(describe_folder(paths[0], arguments))


def _how_to_continue(arguments: argparse.Namespace) -> str:
    """Return what to add to the error of a run that the same command continues."""
    is_folder = arguments.command == "describe" and any(it.is_dir() for it in arguments.paths)
    return "; the same command continues" if is_folder and not arguments.dry_run else ""


def _require_no_folder_options(arguments: argparse.Namespace) -> None:
    names = ("out", "csv", "sidecar", "only_failed", "dry_run")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name)]
    if given:
        raise UsageError(f"{', '.join(given)}: only for a folder")


def _words_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"

    return str(error)


def _exit_code(error: Exception) -> ExitCode:
    match error:
        case UnreachableError() | ProtocolError():
            return ExitCode.UNREACHABLE
        case ProblemError():
            # Overload and outages of what the server depends on pass.
            is_away = error.status in {429, 502, 503, 504}
            return ExitCode.UNREACHABLE if is_away else ExitCode.REFUSED
        case VisionNodeError():
            return ExitCode.FAILED
        case _:
            return ExitCode.USAGE
