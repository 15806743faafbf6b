"""Numbers and tables as Markdown. Pure."""

from collections.abc import Iterable, Sequence

from bench.stats import Spread

Row = tuple[str, ...]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(found: Spread | None) -> str:
    """A median with its spread."""
    if found is None:
        return "–"
    if found.least == found.greatest:
        return digits(found.median)
    return f"{digits(found.median)} [{digits(found.least)} – {digits(found.greatest)}]"


def digits(value: float) -> str:
    """Three significant digits, and no more than are there; hundreds and thousands are whole."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
