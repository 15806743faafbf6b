"""Read the variables that make passes on to a benchmark."""

from collections.abc import Mapping

from bench.errors import BenchError


def whole_number(env: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    """Return the value of a variable, or `default` if it is not set.

    Raises:
        BenchError: The value is not a whole number, or is less than `least`.
    """
    text = env.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise BenchError(f"{name}={text}: set a whole number of at least {least}")
    return int(text)
