"""Put recognized text into a description. The text is untrusted: it is quoted, never obeyed."""

from dataclasses import replace
from unicodedata import category, normalize

from pydantic import JsonValue
from vision_node_contract.models.description import MAX_ALT_CHARACTERS

from .text import Line, ReadText, confidence

_MIN_CONFIDENCE = 0.6
"""Minimum confidence of a line."""

_MIN_CONFIDENCE_SINGLE = 0.95
"""Minimum confidence of a line that is a single character. In photographs without text, an O or 8
was found with a confidence of up to 0.92."""

_MAX_TEXT_CHARACTERS = 20_000
"""Maximum length of the text in characters, which is about five printed pages. In a picture of more
pages, the text would be too small to read."""

_MAX_LISTED_LINES = 300
"""Maximum number of lines that are listed with their boxes. The text contains all lines."""

_MAX_QUOTED_CHARACTERS = 1_000
_MAX_CAPTION_CHARACTERS = 200

_ALT, _CAPTION = "Text: “{}”", "{}, with the text “{}”."


def confident_lines(lines: list[Line]) -> list[Line]:
    """Return the lines whose confidence is sufficient, without control characters."""
    clean = [replace(line, text=printable(line.text)) for line in lines]
    return [line for line in clean if line.text and line.confidence >= _min_confidence(line.text)]


def _min_confidence(text: str) -> float:
    return _MIN_CONFIDENCE if len(text) > 1 else _MIN_CONFIDENCE_SINGLE


def printable(text: str) -> str:
    """Return the text on one line without control, format and private characters (C categories)."""
    visible = (
        " " if category(character)[0] in "CZ" else character for character in normalize("NFC", text)
    )
    return " ".join("".join(visible).split())


def text_of(rows: list[list[Line]]) -> str:
    """Return the recognized text, with one line per row."""
    return "\n".join(" ".join(line.text for line in row) for row in rows)[:_MAX_TEXT_CHARACTERS]


def text_to_json(found: ReadText) -> dict[str, JsonValue]:
    """Return the facts about the text.

    A box consists of left, top, width and height in pixels of the displayed picture.
    """
    lines = found.lines
    facts: dict[str, JsonValue] = {
        "lines": [
            {"text": line.text, "confidence": round(line.confidence, 2), "box": list(line.box)}
            for line in lines[:_MAX_LISTED_LINES]
        ],
    }
    if lines:
        facts["confidence"] = round(confidence(lines), 2)

    if found.language:
        facts["language"] = found.language.tag
        facts["languageConfidence"] = found.language.probability

    return facts


def quoted(text: str) -> str:
    """Return the start of the text on one line, in quotation marks."""
    return f"“{shortened(text, _MAX_QUOTED_CHARACTERS)}”"


def alt_of(text: str) -> str:
    """Return a phrase for an `alt` attribute with the start of the text."""
    return _ALT.format(shortened(text, MAX_ALT_CHARACTERS - len(_ALT.format(""))))


def caption_of(text: str, caption: str) -> str:
    """Return a picture's caption with the start of the text."""
    return _CAPTION.format(caption.removesuffix("."), shortened(text, _MAX_CAPTION_CHARACTERS))


def shortened(text: str, max_length: int) -> str:
    """Return at most `max_length` characters on one line, without curly quotation marks."""
    line = " ".join(text.split()).translate({0x201C: '"', 0x201D: '"'})
    return line if len(line) <= max_length else line[: max_length - 1].rstrip() + "…"
