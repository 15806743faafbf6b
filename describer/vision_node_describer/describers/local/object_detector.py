"""Find things in photographs with NanoDet-g, which knows the 80 classes of COCO."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from vision_node_local_models import NANODET

from ..inference import load_session
from .boxes import CLASS, SCORE, Boxes, as_boxes, by_score, no_boxes, overlaps, suppress_duplicates
from .letterbox import letterbox
from .object_classes import ANIMALS, NAMES, is_unreliable

_SIZES = (320, 608)
"""Lengths of the input's longer side in pixels. Boxes that are found at both sizes are right more
often. On 100 photographs of Pascal VOC, 91 % of them were right, compared to 82 % of the boxes
found at 416 pixels alone."""

_MIN_SCORE = 0.50
_MIN_SCORE_UNRELIABLE = 0.60
"""Minimum mean score of classes that the model often confuses."""

_CANDIDATE_SCORE = 0.25
"""Minimum score at one size. It is also used as the score at a size at which a box was not
found."""

_SAME_OBJECT = 0.5
"""Minimum overlap of a thing's boxes at the two sizes."""

_SAME_PLACE = 0.6
"""Minimum overlap of two boxes that cover the same thing."""

_AMBIGUOUS = 0.8
"""An animal is left out if the model found a different animal in the same place with at least this
share of its score."""

# Means and standard deviations of blue, green and red that the model expects.
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)

_STRIDES = (8, 16, 32)
"""Side of a cell in pixels, for each of the model's three grids."""

_BINS = np.arange(11, dtype=np.float32)
"""Possible distances between a cell and an edge of its box, in strides. The model predicts the
probability of each one (Generalized Focal Loss, arXiv:2006.04388)."""


class ObjectDetector:
    """Finds things in pictures. It is thread-safe."""

    def __init__(self) -> None:
        """Load the model."""
        self._session = load_session(NANODET)

    def find(self, picture: Image.Image) -> tuple[Boxes, Boxes]:
        """Return the things in an RGB picture, and all candidates, both sorted by score.

        Boxes are in pixels of the picture, and classes are indices of NAMES. Candidates have at
        least the score _CANDIDATE_SCORE.
        """
        first, second = (self._find_at(picture, size) for size in _SIZES)
        boxes = _agree(first, second)
        candidates = _without_duplicates(boxes)
        certain = [box for box in candidates if _is_certain(box, boxes)]

        return as_boxes(certain), candidates

    def _find_at(self, picture: Image.Image, size: int) -> Boxes:
        framed = letterbox(picture, size, _STRIDES[-1])
        pixels = (framed.pixels[:, :, ::-1] - _MEAN) / _DEVIATION
        height, width = pixels.shape[:2]

        outputs = self._session.run(None, {"input_1": pixels.transpose(2, 0, 1)[np.newaxis]})
        found = [_decode(outputs, stride, width // stride, height // stride) for stride in _STRIDES]
        boxes = framed.to_picture(np.concatenate(found), picture.size)

        return suppress_duplicates(boxes, _SAME_PLACE)


def _decode(outputs: list[NDArray[np.float32]], stride: int, columns: int, rows: int) -> Boxes:
    """Return the candidates of one of the model's grids, in input pixels."""
    cells = columns * rows
    scores = next(out[0] for out in outputs if out.shape[1:] == (cells, len(NAMES)))
    edges = next(out[0] for out in outputs if out.shape[1:] == (cells, 4 * len(_BINS)))

    cell, kind = np.where(scores > _CANDIDATE_SCORE)
    if not len(cell):
        return no_boxes()

    bins = edges[cell].reshape(-1, 4, len(_BINS))
    weights = np.exp(bins - bins.max(2, keepdims=True))
    left, top, right, bottom = ((weights @ _BINS) / weights.sum(2) * stride).T
    x, y = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride

    return np.stack(
        [x - left, y - top, x + right, y + bottom, scores[cell, kind], kind], axis=1
    ).astype(np.float32)


def _agree(first: Boxes, second: Boxes) -> Boxes:
    """Combine the boxes found at two sizes. The score of each one is the mean of its two scores."""
    joined: list[NDArray[np.float32]] = []
    unmatched = np.ones(len(second), bool)

    for box in first:
        shared = np.where((second[:, CLASS] == box[CLASS]) & unmatched, overlaps(box, second), 0)
        match = int(shared.argmax()) if len(shared) else -1
        if match >= 0 and shared[match] > _SAME_OBJECT:
            unmatched[match] = False
            joined.append(_mean(box, second[match]))
        else:
            joined.append(_seen_once(box))

    joined.extend(_seen_once(box) for box in second[unmatched])
    return by_score(as_boxes(joined))


def _mean(box: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of two boxes, weighted by their scores."""
    total = box[SCORE] + other[SCORE]
    merged = box.copy()
    merged[:SCORE] = (box[:SCORE] * box[SCORE] + other[:SCORE] * other[SCORE]) / total
    merged[SCORE] = total / 2
    return merged


def _seen_once(box: NDArray[np.float32]) -> NDArray[np.float32]:
    single = box.copy()
    single[SCORE] = (box[SCORE] + _CANDIDATE_SCORE) / 2
    return single


def _without_duplicates(boxes: Boxes) -> Boxes:
    """Return only the best box for each place, regardless of its class."""
    kept: list[NDArray[np.float32]] = []
    for box in boxes:
        others = as_boxes(kept)
        limits = np.where(others[:, CLASS] == box[CLASS], _SAME_OBJECT, _SAME_PLACE)
        if not np.any(overlaps(box, others) > limits):
            kept.append(box)

    return as_boxes(kept)


def _is_certain(box: NDArray[np.float32], candidates: Boxes) -> bool:
    name = NAMES[int(box[CLASS])]
    if box[SCORE] < (_MIN_SCORE_UNRELIABLE if is_unreliable(name) else _MIN_SCORE):
        return False

    return name not in ANIMALS or not any(
        other[SCORE] >= _AMBIGUOUS * box[SCORE]
        and other[CLASS] != box[CLASS]
        and NAMES[int(other[CLASS])] in ANIMALS
        and overlaps(box, other[np.newaxis])[0] > _SAME_PLACE
        for other in candidates
    )
