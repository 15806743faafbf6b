"""Format numbers and tables as Markdown."""

from collections.abc import Iterable, Sequence

from bench.stats import Spread

Row = tuple[str, ...]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table. All columns except the first are right-aligned."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(found: Spread | None) -> str:
    """Format a median with its minimum and maximum. Return a dash if there are no values."""
    if found is None:
        return "–"
    if found.least == found.greatest:
        return digits(found.median)
    return f"{digits(found.median)} [{digits(found.least)} – {digits(found.greatest)}]"


def digits(value: float) -> str:
    """Format a value with three significant digits. Values of at least 100 become integers."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
