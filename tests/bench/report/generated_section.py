"""Replace the generated part of a page in docs/."""

from pathlib import Path

from bench.errors import BenchError


def replace_section(page: Path, target: str, text: str) -> None:
    """Replace the text between the two comments that name the make target.

    Raises:
        BenchError: The page is missing, or does not have both comments.
    """
    begin, end = f"<!-- make {target}: from here -->\n", f"<!-- make {target}: to here -->\n"
    before, _, rest = (page.read_text() if page.exists() else "").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise BenchError(f"{page} does not contain {begin.strip()} and {end.strip()}")

    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
