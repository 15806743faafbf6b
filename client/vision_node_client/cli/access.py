"""The commands about identities, API keys and usage."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from ..access_models import ApiKey, CreatedApiKey, DailyUsage, Usage
from ..errors import UnreachableError
from ..sync_client import VisionNode
from .acting import each
from .exit_codes import ExitCode
from .formats import json_line
from .terminal import one_line, table


def show_identity(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print who the client is to the server."""
    found = node.whoami()
    if arguments.json:
        print(json.dumps(asdict(found)))
    else:
        row = (found.subject, found.owner, ",".join(found.scopes), found.expires_at or "never")
        print(table(("SUBJECT", "OWNER", "SCOPES", "EXPIRES"), [row]))

    return ExitCode.DONE


def manage_keys(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Create, list or revoke API keys."""
    match arguments.action:
        case "create":
            return _create_key(node, arguments)
        case "revoke":
            return _revoke_keys(node, arguments)

    return _list_keys(node, arguments)


def _create_key(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print only the key to stdout, so that a shell can put it into a variable."""
    try:
        found = node.create_key(
            arguments.name,
            owner=arguments.owner,
            scopes=arguments.scopes,
            expires=arguments.expires,
        )
    except UnreachableError as error:
        raise UnreachableError(
            f"{error}; the key may have been created: look for it with `vision-node keys list`, "
            "and revoke it"
        ) from error

    print(_about(found), file=sys.stderr)
    print(one_line(found.key), flush=True)
    return ExitCode.DONE


def _about(key: CreatedApiKey) -> str:
    expiry = f"expires at {key.expires_at}" if key.expires_at else "never expires"
    return one_line(
        f"created the key {key.id} ({key.name}) of the owner {key.owner}; scopes: "
        f"{', '.join(key.scopes)}. It {expiry}, and is not shown again:"
    )


def _list_keys(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    found = node.keys()
    if arguments.json:
        for key in found:
            sys.stdout.buffer.write(json_line(key.document))
    else:
        print(table(("ID", "NAME", "OWNER", "SCOPES", "EXPIRES"), [_key_row(it) for it in found]))

    return ExitCode.DONE


def _key_row(key: ApiKey) -> tuple[str, ...]:
    return (key.id, key.name, key.owner, ",".join(key.scopes), key.expires_at or "never")


def _revoke_keys(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    def revoke(key_id: str) -> str:
        node.revoke_key(key_id)
        return key_id

    return each(arguments.keys, revoke)


def show_usage(node: VisionNode, arguments: argparse.Namespace) -> ExitCode:
    """Print what an owner has used: a table, or each page of the answer as a line of JSON."""
    pages = _usage_pages(node, arguments)
    if arguments.json:
        for page in pages:
            print(json.dumps(page.document), flush=True)
    else:
        header = ("DAY", "DESCRIBER", "IMAGES", "FAILED", "BYTES", "INPUT TOKENS", "OUTPUT TOKENS")
        print(table(header, [_usage_row(it) for page in pages for it in page.days]))

    return ExitCode.DONE


def _usage_pages(node: VisionNode, arguments: argparse.Namespace) -> Iterator[Usage]:
    before = arguments.before
    while True:
        page = node.usage(owner=arguments.owner, after=arguments.after, before=before)
        yield page
        # A page that repeats itself makes no progress.
        if page.next_before in (None, before):
            return
        before = page.next_before


def _usage_row(used: DailyUsage) -> tuple[str, ...]:
    numbers = (used.images, used.failed, used.bytes, used.input_tokens, used.output_tokens)
    return (used.day, used.describer, *(str(it) for it in numbers))
