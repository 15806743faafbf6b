"""Find faces with BlazeFace, which does not identify people."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from vision_node_local_models import BLAZEFACE

from ..inference import load_session
from .boxes import Boxes, suppress_duplicates
from .letterbox import letterbox

_SIDE = 256
"""Width and height of the model's input in pixels."""

_MIN_SCORE = 0.80
"""Minimum score of a face. Cats and dogs have scores from 0.56 to 0.79."""

_MAX_OVERLAP = 0.3

_GRIDS = ((16, 2), (32, 6))
"""Side of a cell in pixels, and number of candidates per cell, for each of the model's grids."""

_MAX_LOGIT = 80.0
"""Maximum absolute value of a logit. Larger values would overflow the exponential function."""


def _anchors() -> NDArray[np.float32]:
    """Return the center of each candidate's cell in input pixels."""
    return np.array(
        [
            ((column + 0.5) * stride, (row + 0.5) * stride)
            for stride, candidates in _GRIDS
            for row in range(_SIDE // stride)
            for column in range(_SIDE // stride)
            for _ in range(candidates)
        ],
        np.float32,
    )


class FaceDetector:
    """Finds faces. It is thread-safe."""

    def __init__(self) -> None:
        """Load the model."""
        self._session = load_session(BLAZEFACE)
        self._anchors = _anchors()

    def find(self, picture: Image.Image) -> Boxes:
        """Return the boxes of faces in an RGB picture, in its pixels. Their class is a person's."""
        framed = letterbox(picture, _SIDE, _SIDE)
        pixels = (framed.pixels / 127.5 - 1)[np.newaxis]
        outputs = {out.shape[1:]: out[0] for out in self._session.run(None, {"input": pixels})}

        logits = np.concatenate([outputs[512, 1], outputs[384, 1]])[:, 0]
        scores = 1 / (1 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)))
        places = np.concatenate([outputs[512, 16], outputs[384, 16]])
        likely = scores > _MIN_SCORE

        centers = places[likely, :2] + self._anchors[likely]
        halves = places[likely, 2:4] / 2
        scored = np.stack([scores[likely], np.zeros(likely.sum())], axis=1)
        boxes = np.concatenate([centers - halves, centers + halves, scored], axis=1)

        return suppress_duplicates(
            framed.to_picture(boxes.astype(np.float32), picture.size), _MAX_OVERLAP
        )
