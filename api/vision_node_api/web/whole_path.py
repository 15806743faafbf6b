"""A path parameter with any characters.

Starlette's `path` has no line breaks. A name with one would be no path of the API, and the answer
404 would not say why.
"""

from starlette.convertors import PathConvertor, register_url_convertor

NAME = "whole_path"
"""Name of the parameter's type in the path of a route."""


class WholePath(PathConvertor):
    """Matches the rest of a path, line breaks included."""

    regex = "(?s:.*)"


register_url_convertor(NAME, WholePath())
