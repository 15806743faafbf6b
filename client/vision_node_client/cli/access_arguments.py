"""The arguments of the commands about identities, API keys and usage."""

import argparse
from datetime import date
from typing import TYPE_CHECKING

from .common_arguments import add_common

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 (it has no other name)


def add_commands(commands: "Commands") -> None:
    """Add the commands keys, whoami and usage."""
    _add_keys(commands)
    text = "print who you are to the server, and what you may do"
    whoami = commands.add_parser("whoami", help=text, description=f"{text.capitalize()}.")
    add_common(whoami)
    whoami.add_argument("--json", action="store_true", help="print it as JSON")
    _add_usage(commands)


def _add_keys(commands: "Commands") -> None:
    text = "create, list and revoke API keys, which only administrators may do"
    parser = commands.add_parser("keys", help=text, description=f"{text.capitalize()}.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_create(actions)

    listing = actions.add_parser("list", help="list the keys, without their texts")
    add_common(listing)
    listing.add_argument("--json", action="store_true", help="print them as JSON Lines")

    revoke = actions.add_parser("revoke", help="revoke keys, which are refused from then on")
    revoke.add_argument("keys", nargs="+", metavar="ID", help="ids from `vision-node keys list`")
    add_common(revoke)


def _add_create(actions: "Commands") -> None:
    parser = actions.add_parser(
        "create",
        help="create a key",
        description="Create a key, and print only its text to stdout: "
        "export VISION_NODE_API_KEY=$(vision-node keys create --name web)",
    )
    parser.add_argument("--name", required=True, help="what the key is called")
    parser.add_argument("--owner", help="whose images it submits and reads (default: its name)")
    parser.add_argument(
        "--scopes",
        type=_scopes,
        metavar="LIST",
        help="what it may do: submit, read, admin (default: submit,read)",
    )
    parser.add_argument(
        "--expires",
        metavar="WHEN",
        help="a time (RFC 3339) or for how long it is valid, such as 30d (default: forever)",
    )
    add_common(parser)


def _add_usage(commands: "Commands") -> None:
    text = "print what an owner has used, day by day"
    parser = commands.add_parser("usage", help=text, description=f"{text.capitalize()}.")
    add_common(parser)
    parser.add_argument("--owner", help="another owner, if you are an administrator")
    parser.add_argument("--after", type=_day, metavar="DAY", help="first day, such as 2026-01-31")
    parser.add_argument("--before", type=_day, metavar="DAY", help="the day after the last one")
    parser.add_argument("--json", action="store_true", help="print whole answers as JSON Lines")


def _scopes(text: str) -> list[str]:
    scopes = [scope.strip() for scope in text.split(",")]
    unknown = sorted({*scopes} - {"submit", "read", "admin"})
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)!r}: not submit, read or admin")

    return scopes


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-01-31") from error
