"""Draw scanned pages: a letter, a form, a table, a receipt and a page with two columns."""

import random

from PIL import Image, ImageChops, ImageDraw
from printed import TEXT, draw_lines, font, wrapped

from bench.local.drawn.drawing import Drawing

_DOCUMENT = frozenset({"document"})
_MAY = frozenset({"text", "page", "letter", "form", "table", "receipt", "column"})

A4_AT_100_DPI = (827, 1169)


def _scanned(page: Image.Image, degrees: float = 1.0) -> Image.Image:
    """Return the page as if it had been scanned: gray, slightly rotated and noisy."""
    turned = page.convert("L").rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)
    width, height = turned.size
    noise = random.Random(5).randbytes(width * height)  # noqa: S311
    grain = Image.frombytes("L", turned.size, noise).point([value // 12 for value in range(256)])
    return ImageChops.subtract(turned, grain)


def _letter() -> Image.Image:
    page = Image.new("RGB", A4_AT_100_DPI, "white")
    face = font("Caladea", 20)
    draw_lines(page, ["Harbor Office", "12 Quay Street", "", "Dear Ms. Winter,"], (90, 90), face)
    # Lines of text are 42 pixels apart.
    draw_lines(page, wrapped(TEXT, face, 640)[:17], (90, 300), face)
    draw_lines(page, ["Yours sincerely"], (90, 1050), face)
    return page


def _form() -> Image.Image:
    page = Image.new("RGB", A4_AT_100_DPI, "white")
    draw, face = ImageDraw.Draw(page), font("Roboto", 20)
    draw.text((90, 70), "Application for a library card", font=font("Roboto", 30), fill="black")
    fields = ("First name", "Last name", "Date of birth", "Street", "Postal code and city", "Email")
    for row, field in enumerate(fields):
        top = 170 + 100 * row
        draw.text((90, top), field, font=face, fill="black")
        draw.rectangle((90, top + 30, 740, top + 74), outline="black", width=2)

    for row, choice in enumerate(("I agree to the terms of use.", "Send me news by email.")):
        draw.rectangle((90, 810 + 50 * row, 112, 832 + 50 * row), outline="black", width=2)
        draw.text((130, 808 + 50 * row), choice, font=face, fill="black")

    return page


def _table() -> Image.Image:
    page = Image.new("RGB", A4_AT_100_DPI, "white")
    draw, face = ImageDraw.Draw(page), font("Noto Sans", 18)
    draw.text((80, 60), "Timetable of the ferry", font=font("Noto Sans", 28), fill="black")
    columns = ("Departure", "Harbor", "Arrival", "Days")
    for row in range(22):
        for column, title in enumerate(columns):
            left, top = 80 + 165 * column, 130 + 44 * row
            draw.rectangle((left, top, left + 165, top + 44), outline="black")
            cells = (f"{5 + row % 18:02}:15", "North quay", f"{6 + row % 18:02}:05", "Mon to Fri")
            draw.text(
                (left + 12, top + 9), cells[column] if row else title, font=face, fill="black"
            )

    return page


def _receipt() -> Image.Image:
    page = Image.new("RGB", (420, 900), "#fbfaf5")
    draw, face = ImageDraw.Draw(page), font("Space Mono", 20)
    lines = (
        *("CORNER GROCERY", "14 Mill Lane", "", "Milk 1 l        1.29", "Bread           2.85"),
        *("Apples 1 kg     3.10", "Coffee          5.49", "Butter          2.39", ""),
        *("TOTAL          15.12", "CASH           20.00", "CHANGE          4.88", ""),
        *("2024-03-02  17:41", "Thank you!"),
    )
    for row, line in enumerate(lines):
        draw.text((40, 50 + 52 * row), line, font=face, fill="#222222")

    return page


def _columns() -> Image.Image:
    page = Image.new("RGB", (1654, 2339), "white")
    draw, face = ImageDraw.Draw(page), font("Source Serif Pro", 30)
    draw.text(
        (140, 110), "On the tides of the northern coast", font=font("Caladea", 56), fill="black"
    )
    lines = wrapped(4 * TEXT, face, 640)
    draw_lines(page, lines[:45], (140, 260), face)
    draw_lines(page, lines[45:90], (870, 260), face)
    return page


PAGES = {
    "scanned letter": Drawing(lambda: _scanned(_letter()), _DOCUMENT, _MAY),
    "scanned form": Drawing(lambda: _scanned(_form(), -1.0), _DOCUMENT, _MAY),
    "scanned table": Drawing(lambda: _scanned(_table()), _DOCUMENT, _MAY),
    "receipt": Drawing(_receipt, _DOCUMENT, _MAY, "JPEG"),
    "two columns": Drawing(_columns, _DOCUMENT, _MAY),
    "letter on its side": Drawing(
        lambda: _scanned(_letter()).transpose(Image.Transpose.ROTATE_90), _DOCUMENT, _MAY, "JPEG"
    ),
}
