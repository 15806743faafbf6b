"""Finds and reads lines of text with the models that rapidocr's wheel carries: no network, no file written.

The options are the fastest and smallest that read the same words; docs/describers/ocr.md has the
figures.
"""

from dataclasses import dataclass, replace
from itertools import islice
from math import sqrt
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import onnxruntime
import rapidocr
from omegaconf import OmegaConf
from PIL import Image

MODEL = "PP-OCRv6 small"

_MODELS = {"Det": "PP-OCRv6_det_small.onnx", "Rec": "PP-OCRv6_rec_small.onnx"}
"""Files by rapidocr's name of the part: one finds lines, the other reads them."""

_OPTIONS = {
    "Global.log_level": "critical",
    # Uncertain lines are wanted, too: they tell that a picture stands upside down.
    "Global.text_score": 0.0,
    # It takes upright lines for turned ones: 6 of 10 words of clean text were read, instead of all.
    "Global.use_cls": False,
    # It knows no bounds: of 6000x1 pixels it would make 180,000x45,000.
    "Global.use_preprocess_img": False,
    # Shrink only: by default a picture 200 pixels high is enlarged to 736, for 13 times the work.
    "Det.limit_type": "max",
    # In a batch all lines are padded to the longest: on one core that is work for nothing.
    "Rec.rec_batch_num": 1,
}

FINDING_PIXELS = 1_000_000
"""In a picture of so many pixels lines are looked for; they are read in the whole one."""

_FINDING_BYTES_PER_PIXEL = 340
"""Measured up to four megapixels: 165 to 330."""

_LONGEST_LINE = 80
"""In heights of the line, 160 letters or so: what a line takes has a bound."""

_CUT_WITHIN = 8
"""In heights of the line, how far from its middle a longer one is cut: two or three words."""

_READING_BYTES = 150 << 20
"""Of the longest line, measured: 141 MB."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; (0, 0) is the picture's upper left corner, in pixels."""

    text: str
    confidence: float
    """0 to 1, by the model's own judgement."""
    corners: tuple[tuple[float, float], ...]
    """Four, from the upper left of the text clockwise."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height."""
        xs, ys = zip(*self.corners, strict=True)
        return round(min(xs)), round(min(ys)), round(max(xs) - min(xs)), round(max(ys) - min(ys))

    def times(self, factor: int) -> "Line":
        """Return the line as it is in a picture so many times as large."""
        return replace(self, corners=tuple((x * factor, y * factor) for x, y in self.corners))


def engine_bytes(pixels: int) -> int:
    """Return the memory that reading a picture of so many pixels takes at most, in bytes."""
    return _FINDING_BYTES_PER_PIXEL * min(pixels, FINDING_PIXELS) + _READING_BYTES


class _Reader(rapidocr.RapidOCR):
    """rapidocr's chain of models; a line that is too long is read in parts."""

    def recognize_txt(self, img: list[Any]) -> Any:
        """Read lines, given as arrays of pixels."""
        lines = [_parts(line) for line in img]
        read: Any = super().recognize_txt([part for parts in lines for part in parts])
        texts, scores = iter(read.txts), iter(read.scores)
        read.txts = tuple(" ".join(islice(texts, len(parts))) for parts in lines)
        read.scores = tuple(min(islice(scores, len(parts))) for parts in lines)
        read.imgs, read.word_results = img, (None,) * len(img)
        return read


def _parts(line: Any) -> list[Any]:
    """Cut a line where, near its middle, there is the least to be seen: between two words."""
    height, width = line.shape[:2]
    if width <= _LONGEST_LINE * height:
        return [line]

    first = width // 2 - _CUT_WITHIN * height
    middle = line[:, first : first + 2 * _CUT_WITHIN * height]
    seen = cv2.blur(middle.std(axis=(0, 2)).reshape(1, -1), (max(1, height // 4), 1))
    cut = first + int(seen.argmin())

    return [*_parts(line[:, :cut]), *_parts(line[:, cut:])]


def _session(model: str) -> onnxruntime.InferenceSession:
    """Load a model for one core; given none, rapidocr would make its own, and download what it misses."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # A plan for each shape seen would be kept, and the arena for it: 190 MB more after a page of
    # text.
    options.enable_mem_pattern = False
    # glibc, without the arena, takes a third longer on a page, for 90 MB less.
    options.enable_cpu_mem_arena = True
    options.log_severity_level = 4
    path = Path(rapidocr.__file__).parent / "models" / model

    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Engine:
    """Reads one picture at a time on one core, however many threads ask."""

    def __init__(self) -> None:
        """Load both models, which takes about a second."""
        self._reader: Any = _Reader(params=_OPTIONS)
        for part, model in _MODELS.items():
            settings = {**self._reader.cfg[part], "session": _session(model)}
            self._reader.cfg[part] = OmegaConf.create(settings, flags={"allow_objects": True})

        self._lock = Lock()
        empty = Image.new("RGB", (64, 48))
        self._reader(empty, use_det=True)
        self._reader(
            empty, use_det=False
        )  # with nothing found, it would load the other at the first line

    def read(self, picture: Image.Image) -> list[Line]:
        """Return the lines of an RGB picture, uncertain ones among them, in no order."""
        width, height = picture.size
        scale = min(1.0, sqrt(FINDING_PIXELS / (width * height)))
        with self._lock:
            self._reader.text_det.limit_side_len = scale * max(width, height)
            found = self._reader(picture, use_det=True)

        if found.boxes is None:
            return []

        return [
            Line(text, float(score), tuple((float(x), float(y)) for x, y in box))
            for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]
