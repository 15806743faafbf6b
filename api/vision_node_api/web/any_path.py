"""Match paths that have line breaks, as names of files can.

Starlette's `path` does not match a line break, so such a request would be answered with 404
NotFound instead of the reason why the name is refused.
"""

from starlette.convertors import PathConvertor, register_url_convertor


class AnyPathConvertor(PathConvertor):
    """Matches the rest of a path, whatever characters it has."""

    regex = "(?s:.*)"


def register_any_path() -> None:
    """Make `{name:any_path}` known. This must precede the definition of a route that uses it."""
    register_url_convertor("any_path", AnyPathConvertor())
