"""Read the headers in which proxies report the client's request.

These are X-Forwarded-For, -Proto, -Host and -Prefix, or alternatively Forwarded (RFC 7239).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.datastructures import Headers

_PAIR = re.compile(
    r"""[\s;,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*([;,]|$)"""
)
"""One `name=value` pair and the delimiter that follows it (RFC 7239, section 4)."""

_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """The values that proxies report, in order from the client to this server."""

    addresses: list[str]
    """Address of each sender, with or without a port."""
    schemes: list[str]
    hosts: list[str]


def read_forwarded(headers: Headers) -> ForwardedRequest:
    """Return the values of the forwarding headers.

    The header `Forwarded` is ignored if there are X-Forwarded-… headers, because a proxy that sets
    them may pass on a `Forwarded` header that its client forged.
    """
    forwarded = ForwardedRequest(
        _list_of(headers, "x-forwarded-for"),
        _list_of(headers, "x-forwarded-proto"),
        _list_of(headers, "x-forwarded-host"),
    )
    if forwarded.addresses or forwarded.schemes or forwarded.hosts:
        return forwarded

    values: dict[str, list[str]] = {"for": [], "proto": [], "host": []}
    for line in headers.getlist("forwarded"):
        for name, value in _pairs(line):
            values.setdefault(name, []).append(value)

    return ForwardedRequest(values["for"], values["proto"], values["host"])


def read_prefix(headers: Headers) -> str | None:
    """Return the path in X-Forwarded-Prefix, or None if there is no such header.

    If several proxies have added values, the path consists of all these values.
    """
    parts = headers.getlist("x-forwarded-prefix")
    if not parts:
        return None
    return "".join(part.strip().removesuffix("/") for part in ",".join(parts).split(","))


def _list_of(headers: Headers, name: str) -> list[str]:
    values = ",".join(headers.getlist(name)).split(",")
    return [value.strip() for value in values if value.strip()]


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Yield the names (in lowercase) and the unquoted values in a Forwarded header.

    Stop at the first syntax error.
    """
    position = 0
    while found := _PAIR.match(line, position):
        name, value = found[1].lower(), found[2]
        yield name, _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value

        position = found.end()
        if not found[3]:
            return
