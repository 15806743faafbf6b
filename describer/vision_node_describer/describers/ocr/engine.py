"""Detect and recognize lines of text with the models in rapidocr's wheel, without network access.

The options were chosen to take the least time and memory without recognizing fewer words. For
measurements, see docs/describers/ocr.md.
"""

from itertools import islice
from math import sqrt
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import rapidocr
from omegaconf import OmegaConf
from PIL import Image

from ..inference import load_session
from .memory import MAX_DETECTION_PIXELS
from .text import Line

_MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}
"""Model files by rapidocr's name: Det detects lines, Rec recognizes their text."""

_MODEL_FOLDER = Path(rapidocr.__file__).parent / "models"

_OPTIONS = {
    "Global.log_level": "critical",
    # Keep uncertain lines, because they may show that a picture is upside down.
    "Global.text_score": 0.0,
    # The classifier mistakes upright lines for rotated ones. Of 10 clean words, 6 were recognized
    # with it, and all 10 without it.
    "Global.use_cls": False,
    # The preprocessing has no size limit. It would enlarge a picture of 6000x1 pixels to
    # 180,000x45,000.
    "Global.use_preprocess_img": False,
    # Only shrink pictures. By default, a picture that is 200 pixels high is enlarged to 736, which
    # takes 13 times as much work.
    "Det.limit_type": "max",
    # In a batch, all lines are padded to the length of the longest one. With one core, this only
    # wastes time.
    "Rec.rec_batch_num": 1,
}

_MAX_LINE_WIDTH = 80
"""Maximum width of a line in line heights, which is about 160 letters. It limits the memory for
recognizing the line."""

_CUT_RANGE = 8
"""Maximum distance in line heights from the middle of a long line to the point where it is cut. Two
or three words have this length."""


# OpenCV would start a thread for each of the node's cores.
cv2.setNumThreads(1)


class _Reader(rapidocr.RapidOCR):
    """rapidocr's chain of models, modified to recognize long lines in parts."""

    def recognize_txt(self, img: list[Any]) -> Any:
        """Recognize lines, given as arrays of pixels."""
        lines = [_split_long_line(line) for line in img]
        read: Any = super().recognize_txt([part for parts in lines for part in parts])

        texts, scores = iter(read.txts), iter(read.scores)
        read.txts = tuple(" ".join(islice(texts, len(parts))) for parts in lines)
        read.scores = tuple(min(islice(scores, len(parts))) for parts in lines)
        read.imgs, read.word_results = img, (None,) * len(img)

        return read


def _split_long_line(line: Any) -> list[Any]:
    """Split a long line near its middle where the contrast is lowest, which is between words."""
    height, width = line.shape[:2]
    if width <= _MAX_LINE_WIDTH * height:
        return [line]

    first = width // 2 - _CUT_RANGE * height
    middle = line[:, first : first + 2 * _CUT_RANGE * height]
    contrast = cv2.blur(middle.std(axis=(0, 2)).reshape(1, -1), (max(1, height // 4), 1))
    cut = first + int(contrast.argmin())

    return [*_split_long_line(line[:, :cut]), *_split_long_line(line[:, cut:])]


class Engine:
    """Reads one picture at a time on one core, even if several threads call it."""

    def __init__(self) -> None:
        """Load both models. This takes about a second."""
        self._reader: Any = _Reader(params=_OPTIONS)
        for part, model in _MODELS.items():
            settings = {**self._reader.cfg[part], "session": load_session(_MODEL_FOLDER / model)}
            self._reader.cfg[part] = OmegaConf.create(settings, flags={"allow_objects": True})

        self._lock = Lock()

        empty = Image.new("RGB", (64, 48))
        self._reader(empty, use_det=True)
        # Warm up the recognition, too: detection finds no line in an empty picture.
        self._reader(empty, use_det=False)

    def read(self, picture: Image.Image) -> list[Line]:
        """Return the lines of an RGB picture in no particular order, including uncertain ones."""
        width, height = picture.size
        scale = min(1.0, sqrt(MAX_DETECTION_PIXELS / (width * height)))
        with self._lock:
            self._reader.text_det.limit_side_len = scale * max(width, height)
            found = self._reader(picture, use_det=True)

        if found.boxes is None:
            return []

        return [
            Line(text, float(score), tuple((float(x), float(y)) for x, y in box))
            for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]
