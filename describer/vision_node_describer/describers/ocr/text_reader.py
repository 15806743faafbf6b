"""Read the text of an image file, and detect its language."""

from ..metadata.facts import Facts
from .engine import Engine
from .language import LanguageDetector
from .phrasing import confident_lines, text_of
from .preparation import prepare_for_reading
from .reading_order import reading_order
from .rotation import read_rotated
from .text import ReadText


class TextReader:
    """Reads printed text in Latin letters, Chinese and Japanese. It is thread-safe."""

    def __init__(self) -> None:
        """Load the models. This takes less than two seconds."""
        self._engine = Engine()
        self._language_detector = LanguageDetector()

    def read(self, image: bytes, facts: Facts) -> ReadText:
        """Return the confident lines of an image file.

        Raises:
            DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
        """
        picture, factor = prepare_for_reading(image, facts)
        rows = []
        if picture is not None:
            lines = confident_lines(read_rotated(self._engine, picture))
            rows = reading_order([line.scaled(factor) for line in lines])

        text = text_of(rows)
        return ReadText(rows, text, self._language_detector.detect(text) if text else None)
