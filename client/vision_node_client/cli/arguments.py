"""The command line."""

import argparse
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from ..options import SubmitOptions
from . import access_arguments
from .common_arguments import add_common

EXIT_CODES = """\
exit codes:
  0    all images were described
  1    some images were not described
  2    the arguments are invalid, or a file can't be read or written
  3    the server did not respond, or was overloaded
  4    the server refused the request
  130  Ctrl-C"""

EXAMPLES = """\
examples:
  vision-node describe photo.jpg
  vision-node describe *.jpg --json > results.jsonl
  vision-node describe ~/pictures --out results.jsonl
  vision-node describe ~/pictures --out results.jsonl --only-failed

A folder is described as a batch. Images are the files in it and its subfolders whose names end like
those of images, except hidden ones. Each has one line in FILE. FILE.state has what is needed to
continue after an interruption: run the same command again. After Ctrl-C, a batch that was started
continues on the server.

Results go to stdout or FILE; progress, warnings and errors go to stderr.

"""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line. Invalid arguments end the program with ExitCode.USAGE."""
    parser = argparse.ArgumentParser(
        prog="vision-node",
        description="Describe images with vision-node.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("vision-node-client"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_describe(commands)
    _add_list(commands, "describers", "list the describers that --describer can name")
    _add_jobs(commands)
    _add_job(commands)
    _add_list(commands, "batches", "list the batches")
    _add_results(commands)
    _add_action(commands, "cancel", "cancel jobs that have not ended")
    _add_retry(commands)
    _add_action(commands, "delete", "delete jobs with their images and results")
    _add_action(commands, "redeliver", "send the messages to the callbacks of jobs again")
    access_arguments.add_commands(commands)

    return parser.parse_args(arguments)


def options_of(arguments: argparse.Namespace) -> SubmitOptions:
    """Return how to describe images, as far as the command line says so."""
    found: SubmitOptions = {
        "describer": arguments.describer,
        "prompt": arguments.prompt,
        "language": arguments.language,
        "detail": arguments.detail,
        "max_length": arguments.max_length,
        "fallback": arguments.fallback,
        "text": arguments.text,
        "ttl_seconds": arguments.ttl,
        "labels": dict(arguments.label) or None,
        "priority": arguments.priority,
        "reuse": arguments.reuse or None,
        "callback_url": arguments.callback_url,
    }
    return found


def _add_describe(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "describe",
        help="describe images, or all images in a folder",
        epilog=EXAMPLES + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Print the descriptions of images, or write those of a folder to a file.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="images, or one folder")
    add_common(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print whole results as JSON; of several images, one line each",
    )
    _add_options(parser)
    _add_folder(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "how to describe the images (by default, as the server is set up)"
    )
    group.add_argument("--describer", metavar="NAME", help="one of `vision-node describers`")
    group.add_argument(
        "--prompt", metavar="TEXT", help="what to look for, or how to phrase the description"
    )
    group.add_argument(
        "--language", metavar="TAG", help="language of the description, such as en or pt-BR"
    )
    group.add_argument("--detail", choices=["low", "high", "auto"], help="how closely to look")
    group.add_argument(
        "--max-length", type=int, metavar="CHARACTERS", help="maximum length of the description"
    )
    group.add_argument("--fallback", choices=["never"], help="do not use the fallback describer")
    group.add_argument(
        "--text", action=argparse.BooleanOptionalAction, help="always or never read text in images"
    )
    group.add_argument(
        "--ttl", type=int, metavar="SECONDS", help="how long the server keeps the results"
    )
    group.add_argument(
        "--label",
        type=_label,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a label by which they are found again; it can be repeated",
    )
    group.add_argument(
        "--priority", type=int, metavar="NUMBER", help="images with a higher one go first"
    )
    group.add_argument(
        "--callback-url",
        metavar="URL",
        help="https URL to which the server sends a signed message about the end",
    )
    group.add_argument(
        "--reuse",
        action="store_true",
        help="take the result of an earlier job with the same image and options, if there is one "
        "(not for a folder)",
    )


def _add_folder(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for a folder")
    group.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write the results (required)"
    )
    group.add_argument("--csv", action="store_true", help="write CSV instead of JSON Lines")
    group.add_argument(
        "--sidecar",
        action="store_true",
        help="also write each result next to its image, as photo.jpg.vision-node.json",
    )
    group.add_argument(
        "--only-failed",
        action="store_true",
        help="describe the images again that failed in a finished run with this FILE",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="only list the images; contact no server"
    )
    group.add_argument("--quiet", action="store_true", help="print only warnings and errors")


def _add_list(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> None:
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    add_common(parser)
    parser.add_argument("--json", action="store_true", help="print them as JSON Lines")


def _add_jobs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "list, search or export jobs, the newest first"
    parser = commands.add_parser("jobs", help=text, description=text.capitalize() + ".")
    add_common(parser)
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--json", action="store_true", help="print everything about all of them as JSON Lines"
    )
    formats.add_argument("--csv", action="store_true", help="print all of them as CSV")
    parser.add_argument(
        "--limit",
        type=_natural,
        metavar="JOBS",
        help="maximum number of jobs (default: 50 in a table, and all with --json or --csv)",
    )

    group = parser.add_argument_group("which jobs (all of these must fit)")
    group.add_argument("--q", metavar="WORDS", help="words that their descriptions have")
    group.add_argument(
        "--phase",
        action="append",
        choices=["queued", "processing", "done", "failed"],
        help="may be repeated",
    )
    group.add_argument("--describer", help="one of `vision-node describers`")
    group.add_argument("--batch", help="images of a batch, from `vision-node batches`")
    group.add_argument("--reason", help="why they failed, such as ImageUnreadable")
    group.add_argument(
        "--label", action="append", type=_label, metavar="KEY=VALUE", help="may be repeated"
    )
    group.add_argument("--after", metavar="TIME", help="created then or later (RFC 3339)")
    group.add_argument("--before", metavar="TIME", help="created before then (RFC 3339)")
    group.add_argument("--owner", help="value of the label vision-node.dev/owner")


def _add_job(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "print everything about a job as JSON"
    parser = commands.add_parser("job", help=text, description=text.capitalize() + ".")
    parser.add_argument("job", metavar="ID", help="its id; BATCH.INDEX for an image of a batch")
    add_common(parser)


def _add_results(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "print the results of a batch"
    parser = commands.add_parser(
        "results",
        help=text,
        description="Print the results of a batch as JSON Lines or CSV.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("batch", metavar="BATCH", help="its name, from `vision-node batches`")
    add_common(parser)
    parser.add_argument("--csv", action="store_true", help="print CSV instead of JSON Lines")
    parser.add_argument("--phase", choices=["done", "failed"], help="print only these images")
    parser.add_argument(
        "--after",
        type=_count,
        default=0,
        metavar="PARTS",
        help="number of parts of the results to leave out (default: 0)",
    )
    parser.add_argument(
        "--follow", action="store_true", help="wait for further results until the batch is finished"
    )


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("must be KEY=VALUE")

    return key, value


def _add_action(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> None:
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.add_argument("jobs", nargs="+", metavar="ID", help="ids of jobs")
    add_common(parser)


def _add_retry(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "describe the images of finished jobs again, in new jobs"
    parser = commands.add_parser(
        "retry",
        help=text,
        description=text.capitalize() + ". Print the id of each new job, and that of the old one. "
        "Options that are not given stay as they were.",
    )
    parser.add_argument("jobs", nargs="*", metavar="ID", help="ids of jobs")
    add_common(parser)
    _add_options(parser)

    group = parser.add_argument_group("all jobs that have failed, in place of IDs")
    group.add_argument("--reason", help="for this reason, such as ProviderUnavailable")
    group.add_argument("--of-describer", metavar="NAME", help="only with this describer")
    group.add_argument("--after", type=_time, metavar="TIME", help="only created at or after it")
    group.add_argument("--before", type=_time, metavar="TIME", help="only created before it")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-01-31T12:00") from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")

    return int(text)


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")

    return number
