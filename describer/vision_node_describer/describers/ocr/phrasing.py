"""Puts what was read into a description. Anybody may have written it: it is shown, never obeyed."""

from dataclasses import replace
from unicodedata import category, normalize

from pydantic import JsonValue
from vision_node_contract.models.description import MAX_ALT_CHARACTERS

from .engine import Line
from .language import Language
from .rotation import confidence

_LEAST_CONFIDENCE = 0.6
_LEAST_CONFIDENCE_ALONE = 0.95
"""Of a line of one character: an O or 8 seen in photographs without text had at most 0.92."""

_TEXT_CHARACTERS = 20_000
"""Five pages of print; smaller print cannot be read."""

_LISTED_LINES = 300
"""With their places; the text goes on."""

_QUOTED_CHARACTERS = 1_000
_CAPTION_CHARACTERS = 200

_ALT, _CAPTION = "Text: “{}”", "{}, with the text “{}”."


def trusted(lines: list[Line]) -> list[Line]:
    """Return the lines of which the model is sure, without characters that only control others."""
    clean = [replace(line, text=printable(line.text)) for line in lines]
    return [line for line in clean if line.text and line.confidence >= _least(line.text)]


def _least(text: str) -> float:
    return _LEAST_CONFIDENCE if len(text) > 1 else _LEAST_CONFIDENCE_ALONE


def printable(text: str) -> str:
    """Return one line of visible characters: no control, format or private ones (Unicode's C categories)."""
    visible = (
        " " if category(character)[0] in "CZ" else character for character in normalize("NFC", text)
    )
    return " ".join("".join(visible).split())


def text_of(rows: list[list[Line]]) -> str:
    """Return a line for each row."""
    return "\n".join(" ".join(line.text for line in row) for row in rows)[:_TEXT_CHARACTERS]


def lines_to_json(rows: list[list[Line]], language: Language | None) -> dict[str, JsonValue]:
    """Return the facts: confidence from 0 to 1, boxes as left, top, width and height in pixels as shown."""
    lines = [line for row in rows for line in row]
    facts: dict[str, JsonValue] = {
        "lines": [
            {"text": line.text, "confidence": round(line.confidence, 2), "box": list(line.box)}
            for line in lines[:_LISTED_LINES]
        ],
    }
    if lines:
        facts["confidence"] = round(confidence(lines), 2)

    if language:
        facts |= {"language": language.tag, "languageConfidence": language.probability}

    return facts


def quoted(text: str) -> str:
    """Return the text's beginning on one line, in quotation marks."""
    return f"“{shortened(text, _QUOTED_CHARACTERS)}”"


def alt_of(text: str) -> str:
    """Return the text for an `alt` attribute."""
    return _ALT.format(shortened(text, MAX_ALT_CHARACTERS - len(_ALT.format(""))))


def caption_of(text: str, caption: str) -> str:
    """Return a picture's caption with the text's beginning in it."""
    return _CAPTION.format(caption.removesuffix("."), shortened(text, _CAPTION_CHARACTERS))


def shortened(text: str, most: int) -> str:
    """Return at most so many characters on one line, none of them a curly quotation mark."""
    line = " ".join(text.split()).translate({0x201C: '"', 0x201D: '"'})
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
