"""Describe a picture by its text and its measurable properties, without a network or a key."""

from vision_node_contract.images.header import read_header
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError

from ..imaging.picture import decoding_bytes
from ..interface import Describer, Setup
from ..metadata.facts import Facts, read_facts, to_json
from ..metadata.phrasing import alt_text, caption, describe_in_lines, tags
from .engine import MODEL, Engine, Line, engine_bytes
from .language import LanguageDetector
from .phrasing import alt_of, caption_of, confident_lines, lines_to_json, quoted, text_of
from .preparation import prepare_for_reading, reading_bytes, reading_pixels
from .reading_order import reading_order
from .rotation import read_rotated

_LIBRARIES_BYTES = 220 << 20
"""Memory for libraries and models (measured). Every worker reserves memory for the process itself,
which is not included here."""


class Ocr(Describer):
    """Reads printed text in Latin letters, Chinese and Japanese."""

    def __init__(self, setup: Setup) -> None:
        """Load the models, which takes less than two seconds."""
        super().__init__(setup)
        self._engine = Engine()
        self._language_detector = LanguageDetector()

    def memory(self, image: bytes) -> int:
        """Return the maximum memory for decoding and reading, in bytes."""
        try:
            header = read_header(image)
        except DescribeError:
            return 0

        pixels = reading_pixels(header.width, header.height)
        return (
            _LIBRARIES_BYTES + decoding_bytes(image) + reading_bytes(pixels) + engine_bytes(pixels)
        )

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe one image file in English. Its text is not translated.

        Raises:
            DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
        """
        facts = read_facts(image)
        rows = self._rows(image, facts)
        text = text_of(rows)
        language = self._language_detector.detect(text) if text else None

        first_lines = {"Text": quoted(text) if text else "none found"}
        if language:
            first_lines["Language of the text"] = language.tag

        return Description(
            description=describe_in_lines(facts, options.max_length, first=first_lines),
            alt=alt_of(text) if text else alt_text(facts),
            caption=caption_of(text, caption(facts)) if text else caption(facts),
            tags=["text", *tags(facts)] if text else tags(facts),
            text=text,
            facts={**to_json(facts), "ocr": lines_to_json(rows, language)},
            model=MODEL,
        )

    def _rows(self, image: bytes, facts: Facts) -> list[list[Line]]:
        """Return rows of confident lines in reading order.

        Their positions are in pixels of the displayed picture.
        """
        picture, factor = prepare_for_reading(image, facts)
        if picture is None:
            return []

        return reading_order(
            [line.scaled(factor) for line in confident_lines(read_rotated(self._engine, picture))]
        )
