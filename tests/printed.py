"""Pictures of printed text for the tests and the benchmark of the `ocr` describer."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import font_caladea
import font_roboto
import font_source_sans_pro
import font_source_serif_pro
import pymupdf_fonts
from pictures import encoded
from PIL import Image, ImageDraw, ImageFont

SIZE = (1000, 200)
FONT_PIXELS = 24

_LINES_PER_PAGE = 4
_MARGIN = 30
_LINE_PIXELS = 42


FONTS: dict[str, Callable[[], bytes]] = {
    "Caladea": lambda: Path(font_caladea.Caladea).read_bytes(),
    "Source Serif Pro": lambda: Path(font_source_serif_pro.SourceSerifPro).read_bytes(),
    "Source Sans Pro": lambda: Path(font_source_sans_pro.SourceSansPro).read_bytes(),
    "Roboto": lambda: Path(font_roboto.Roboto).read_bytes(),
    "FiraGO": lambda: pymupdf_fonts.myfont("figo"),
    "Noto Sans": lambda: pymupdf_fonts.myfont("notos"),
    "Ubuntu": lambda: pymupdf_fonts.myfont("ubuntu"),
    "Ubuntu Mono": lambda: pymupdf_fonts.myfont("ubuntm"),
    "Space Mono": lambda: pymupdf_fonts.myfont("spacemo"),
    "Cascadia Mono": lambda: pymupdf_fonts.myfont("cascadia"),
}
"""Functions that return the content of a font file, by font name.

The fonts come from Python packages and include serif, sans-serif and monospaced fonts.
"""

TEXT = """
Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived
in Liberty, and dedicated to the proposition that all men are created equal. Alice was beginning to
get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she
had peeped into the book her sister was reading, but it had no pictures or conversations in it, "and
what is the use of a book," thought Alice "without pictures or conversations?" Invoice No. 2048 of
17 March 2025: 12 boxes at 3.50 EUR each, delivery 9.95 EUR, total 51.95 EUR including 19 % tax.
Payable within 30 days; questions to billing@example.com or 555-0134. Call me Ishmael. Some years
ago, never mind how long precisely, having little or no money in my purse, and nothing particular to
interest me on shore, I thought I would sail about a little and see the watery part of the world.
The quick brown fox jumps over the lazy dog while five boxing wizards jump quickly and Jack quietly
moved up front and seized the big ball of wax.
"""
"""Text to print: prose by Lincoln, Carroll and Melville, an invoice, and pangrams."""


@dataclass(frozen=True, slots=True)
class Page:
    """A picture with the dimensions SIZE, and the words that are printed on it."""

    picture: Image.Image
    words: list[str]


@cache
def font(name: str, pixels: int = FONT_PIXELS) -> ImageFont.FreeTypeFont:
    """Load the font with this name from FONTS, at a size of `pixels`."""
    return ImageFont.truetype(io.BytesIO(FONTS[name]()), pixels)


def pages(name: str) -> list[Page]:
    """Print TEXT in the font with this name, and return pages with a few lines each."""
    lines = wrapped(TEXT, font(name), SIZE[0] - 2 * _MARGIN)
    return [
        page(name, lines[at : at + _LINES_PER_PAGE]) for at in range(0, len(lines), _LINES_PER_PAGE)
    ]


def page(name: str, lines: list[str]) -> Page:
    """Print these lines in the font with this name, dark on white, and return the page."""
    picture = Image.new("RGB", SIZE, "white")
    draw_lines(picture, lines, (_MARGIN, 20), font(name))
    return Page(picture, " ".join(lines).split())


def draw_lines(
    picture: Image.Image, lines: list[str], at: tuple[int, int], face: ImageFont.FreeTypeFont
) -> None:
    """Draw lines of nearly black text, one below the other. The first line starts at `at`."""
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + number * _LINE_PIXELS), line, font=face, fill=(20, 20, 20))


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break text into lines that are at most `width` pixels wide."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)

    return lines


def _tilted(picture: Image.Image) -> Image.Image:
    return picture.rotate(5, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


def _pale(picture: Image.Image) -> Image.Image:
    """Return a low-contrast picture: black becomes gray level 160, and white becomes 200."""
    return picture.point(lambda value: 160 + 40 * value // 255)


@dataclass(frozen=True, slots=True)
class Condition:
    """A way to store a picture in a file, and how accurately the text in it must be recognized."""

    file: Callable[[Image.Image], bytes]
    bar: float
    """Minimum share of the words that must be recognized."""


CONDITIONS = {
    "clean": Condition(lambda picture: encoded(picture, "PNG"), 0.99),
    "turned by 5°": Condition(lambda picture: encoded(_tilted(picture), "PNG"), 0.9),
    "JPEG quality 40": Condition(lambda picture: encoded(picture, "JPEG", quality=40), 0.9),
    "low contrast": Condition(lambda picture: encoded(_pale(picture), "PNG"), 0.9),
}


def words_read(words: list[str], text: str) -> int:
    """Count the words that occur in the text, punctuation included, in the order of `words`."""
    matcher = SequenceMatcher(None, words, text.split(), autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())
