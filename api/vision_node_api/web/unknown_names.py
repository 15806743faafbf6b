"""Say which name of a request is unknown. Most such names are misspelled."""

from collections.abc import Collection
from difflib import get_close_matches

MAX_NAME_CHARACTERS = 40
"""Maximum number of characters that an error message quotes from a name. Names that are compared
with the known ones are cut, too, because the comparison takes long for long ones."""


def quoted_name(name: str) -> str:
    """Return a name as messages quote it: without unprintable characters, and not too long."""
    return repr("".join(it for it in name if it.isprintable())[:MAX_NAME_CHARACTERS])


def unknown_name(kind: str, name: str, known: Collection[str]) -> str:
    """Return sentences that say that a name is unknown, and which one may be meant.

    Args:
        kind: What has the name, such as `query parameter`.
        name: The unknown name.
        known: The known names, in the order in which they are listed.
    """
    detail = f"The {kind} {quoted_name(name)} is unknown."
    if not known:
        return f"{detail} There is no {kind} here."

    names = {it.casefold(): it for it in known}
    close = get_close_matches(name[:MAX_NAME_CHARACTERS].casefold(), names, n=1)
    suggestion = f" Did you mean {names[close[0]]}?" if close else ""
    return f"{detail}{suggestion} Known: {', '.join(known)}."
