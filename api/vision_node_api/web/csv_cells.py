"""Write rows of CSV (RFC 4180) that are safe to open in a spreadsheet.

A spreadsheet runs a cell that begins like a formula, and a formula can send data away or start
programs (https://owasp.org/www-community/attacks/CSV_Injection). Attackers may choose texts: the
name of a file, or text in an image. An apostrophe makes such a cell text.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

MEDIA_TYPE = "text/csv"

BYTE_ORDER_MARK = "\ufeff".encode()
"""Without this mark at the start, Excel takes UTF-8 for the code page of the computer, and shows
`MÃ¼nchen`. Other spreadsheets and pandas skip it; in Python, the encoding utf-8-sig does."""

_FORMULA_CHARACTERS = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA = f"[{_FORMULA_CHARACTERS}]"
"""Characters with which formulas begin, and their full-width variants."""

_SUSPICIOUS = re.compile(rf"[{_FORMULA_CHARACTERS}\t\r\n\0]")
"""Finds out quickly that a text has nothing to change, as most texts."""

# A spreadsheet whose separator is a semicolon, as in many countries, or a tab begins another cell
# after these characters, quoted or not. There, only spaces on the same line are skipped, so that
# each is looked at once.
_DANGER = re.compile(
    rf"\A(?=[\t\r\n])|\A(?=[\s\u200b\u2060\ufeff]*{_FORMULA})|(?<=[;\t\r\n])(?=[^\S\t\r\n]*{_FORMULA})"
)


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    It differs only if it begins like one, or has a semicolon, tab or line break before one.
    """
    if not _SUSPICIOUS.search(text):
        return text

    return _DANGER.sub("'", text.replace("\0", "\ufffd"))


def csv_rows(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV in UTF-8, with safe cells."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue().encode(errors="replace")
