"""The options that all commands have."""

import argparse
import os

from ..environment import KEY_VARIABLE, URL_VARIABLE

DEFAULT_URL = "http://127.0.0.1:8000"


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options about the server."""
    parser.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        help=f"URL of the server (default: ${URL_VARIABLE}, or else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--api-key-file",
        metavar="FILE",
        help=f"file with the API key, or - for stdin (default: the key in ${KEY_VARIABLE}, if any)",
    )
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=30.0,
        metavar="SECONDS",
        help="maximum pause within a request (default: %(default)g)",
    )


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")

    return seconds
