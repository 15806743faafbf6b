"""The type of drawn pictures."""

from collections.abc import Callable
from dataclasses import dataclass

from pictures import encoded
from PIL import Image


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a picture is drawn, and what may be said about it."""

    draw: Callable[[], Image.Image]
    kinds: frozenset[str]
    may: frozenset[str] = frozenset()
    format: str = "PNG"

    def file(self) -> bytes:
        """Return the content of the image file."""
        return encoded(self.draw(), self.format)
