"""Classify photographs with EfficientNet-Lite2, which knows the 1,000 classes of ImageNet-1k."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from vision_node_local_models import EFFICIENTNET

from ..inference import load_session

_SIDE = 260
"""Width and height of the model's input in pixels."""

_CROPPED_SHARE = _SIDE / (_SIDE + 32)
"""Share of each picture's shorter side that the model saw when it was evaluated."""


class Classifier:
    """Estimates what a picture shows. It is thread-safe."""

    def __init__(self) -> None:
        """Load the model."""
        self._session = load_session(EFFICIENTNET)

    def probabilities(self, picture: Image.Image) -> NDArray[np.float32]:
        """Return the probability of each class for an RGB picture.

        Each probability is the mean of two results, one for the middle of the picture and one for
        the whole picture. Only the whole picture shows what is near the edges of a long picture.
        """
        views = np.stack([_pixels(_middle(picture)), _pixels(picture)])
        first, second = self._session.run(["probabilities"], {"pixels": views})[0]

        mean: NDArray[np.float32] = (first + second) / 2
        return mean


def _middle(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    side = max(1, int(_CROPPED_SHARE * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _pixels(picture: Image.Image) -> NDArray[np.float32]:
    """Return the pixels as RGB x height x width, in the model's range of values."""
    resized = picture.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized, np.float32) - np.float32(127)) / np.float32(128)
    return pixels.transpose(2, 0, 1)
