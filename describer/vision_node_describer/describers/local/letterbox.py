"""Fit a picture into the input of a model without changing its proportions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .boxes import Boxes


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture in the middle of a black rectangle."""

    pixels: NDArray[np.float32]
    """Height x width x RGB, 0 to 255."""
    scale: float
    """Number of input pixels per pixel of the picture."""
    left: int
    top: int

    def to_picture(self, boxes: Boxes, size: tuple[int, int]) -> Boxes:
        """Convert boxes from pixels of the input to pixels of the picture."""
        placed = boxes.copy()
        for offset, columns, side in ((self.left, [0, 2], size[0]), (self.top, [1, 3], size[1])):
            placed[:, columns] = ((boxes[:, columns] - offset) / self.scale).clip(0, side)

        return placed


def letterbox(picture: Image.Image, long_side: int, multiple: int) -> Letterbox:
    """Resize an RGB picture, and pad it with black.

    Args:
        picture: The picture.
        long_side: The longer side of the resized picture in pixels.
        multiple: The sides of the input are multiples of this number of pixels.
    """
    scale = long_side / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    padded_width, padded_height = (-(-side // multiple) * multiple for side in (width, height))
    left, top = (padded_width - width) // 2, (padded_height - height) // 2

    pixels = np.zeros((padded_height, padded_width, 3), np.float32)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels[top : top + height, left : left + width] = np.asarray(resized)

    return Letterbox(pixels, scale, left, top)
