"""Describe a picture by its text and its measurable properties. This needs no network or key."""

from vision_node_contract.models.description import Description, Options

from ..interface import Describer, Setup
from ..metadata.facts import read_facts, to_json
from ..metadata.phrasing import alt_text, caption, describe_in_lines, tags
from .memory import READER_BYTES, reader_bytes
from .phrasing import alt_of, caption_of, quoted, text_to_json
from .text import MODEL
from .text_reader import TextReader


class Ocr(Describer):
    """Reads printed text in Latin letters, Chinese and Japanese."""

    shared_memory = READER_BYTES

    def __init__(self, setup: Setup) -> None:
        """Load the models. This takes less than two seconds."""
        super().__init__(setup)
        self._reader = TextReader()

    def memory(self, image: bytes) -> int:
        """Return the maximum memory for decoding and reading, in bytes."""
        return reader_bytes(image)

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe one image file in English. Its text is not translated.

        Raises:
            DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
        """
        facts = read_facts(image)
        found = self._reader.read(image, facts)
        text = found.text

        first_lines = {"Text": quoted(text) if text else "none found"}
        if found.language:
            first_lines["Language of the text"] = found.language.tag

        return Description(
            description=describe_in_lines(facts, options.max_length, first=first_lines),
            alt=alt_of(text) if text else alt_text(facts),
            caption=caption_of(text, caption(facts)) if text else caption(facts),
            tags=["text", *tags(facts)] if text else tags(facts),
            text=text,
            facts={**to_json(facts), "ocr": text_to_json(found)},
            model=MODEL,
        )
