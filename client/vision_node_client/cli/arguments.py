"""The command line."""

import argparse
import os
from pathlib import Path

from ..options import SubmitOptions

DEFAULT_URL = "http://127.0.0.1:8000"

URL_VARIABLE = "VISION_NODE_URL"
"""Environment variable with the URL of the server."""

EPILOG = """\
exit codes: 0 all images were described, 1 some were not, 2 invalid arguments or unreadable files,
3 the server did not respond, 4 the server refused the request, 130 Ctrl-C"""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line. Invalid arguments end the program with ExitCode.USAGE."""
    parser = argparse.ArgumentParser(
        prog="vision-node", description="Describe images with vision-node.", epilog=EPILOG
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_describe(commands)
    _add_list(commands, "describers", "list the describers that --describer can name")
    _add_jobs(commands)
    _add_job(commands)
    _add_list(commands, "batches", "list the batches")
    _add_results(commands)

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
    }
    return found


def _add_describe(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "describe",
        help="describe images, or all images in a folder",
        epilog=EPILOG,
        description="Print the descriptions of images, or write those of a folder to a file. If a "
        "folder was interrupted, the same command continues.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="images, or one folder")
    _add_common(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print whole results as JSON; of several images, a line each",
    )
    _add_options(parser)
    _add_folder(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        help=f"URL of the server (default: ${URL_VARIABLE}, or else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=30.0,
        metavar="SECONDS",
        help="longest pause within a request (default: %(default)g)",
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to describe them (the server's defaults otherwise)")
    group.add_argument("--describer", help="one of `vision-node describers`")
    group.add_argument("--prompt", help="what to look for, or how to phrase the description")
    group.add_argument("--language", help="language of the description, such as en or pt-BR")
    group.add_argument("--detail", choices=["low", "high", "auto"], help="how closely to look")
    group.add_argument("--max-length", type=int, metavar="CHARACTERS", help="of the description")
    group.add_argument("--fallback", choices=["never"], help="do not use the fallback describer")
    group.add_argument(
        "--text", action=argparse.BooleanOptionalAction, help="always or never read text in images"
    )
    group.add_argument("--ttl", type=int, metavar="SECONDS", help="how long the server keeps them")


def _add_folder(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for a folder")
    group.add_argument("--out", type=Path, metavar="FILE", help="where to write the results")
    group.add_argument("--csv", action="store_true", help="write CSV instead of JSON Lines")
    group.add_argument(
        "--sidecar",
        action="store_true",
        help="also write each result next to its image, as photo.jpg.vision-node.json",
    )
    group.add_argument(
        "--only-failed", action="store_true", help="describe again what failed in the former run"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="only list the images, without a server"
    )
    group.add_argument("--quiet", action="store_true", help="no progress and no summary")


def _add_list(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> None:
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    _add_common(parser)
    parser.add_argument("--json", action="store_true", help="print them as JSON Lines")


def _add_jobs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "list, search or export jobs, the newest first"
    parser = commands.add_parser("jobs", help=text, description=text.capitalize() + ".")
    _add_common(parser)
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
    _add_common(parser)


def _add_results(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "print the results of a batch"
    parser = commands.add_parser("results", help=text, description=text.capitalize() + ".")
    parser.add_argument("batch", metavar="BATCH", help="its name, from `vision-node batches`")
    _add_common(parser)
    parser.add_argument("--csv", action="store_true", help="print CSV instead of JSON Lines")
    parser.add_argument("--phase", choices=["done", "failed"], help="only these images")
    parser.add_argument(
        "--after", type=int, default=0, metavar="PARTS", help="number of parts to leave out"
    )
    parser.add_argument(
        "--follow", action="store_true", help="wait for further results until the batch is finished"
    )


def _positive(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be positive")

    return seconds


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")

    return number


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError("must be like team=web")

    return key, value
