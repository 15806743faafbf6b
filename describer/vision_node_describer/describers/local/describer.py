"""Describe what a picture shows. The models run in the worker and need no network or key."""

from collections.abc import Mapping
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue
from vision_node_contract.models.description import Description, Options

from ..imaging.display import as_displayed
from ..interface import Describer, Setup
from ..metadata.facts import Facts, read_facts, to_json
from ..metadata.phrasing import describe_in_lines
from ..ocr.memory import READER_BYTES, reader_bytes
from ..ocr.phrasing import text_to_json
from ..ocr.text import MODEL as TEXT_MODEL
from ..ocr.text import NO_TEXT, ReadText
from .classes import probability_of
from .layout import Layout, measure_layout
from .picture_kind import PictureKind, kind_by_sight, kind_by_text
from .recognizer import NOTHING, Recognizer
from .wording import Scene, alt_of, caption_of, tags_of

if TYPE_CHECKING:
    from ..ocr.text_reader import TextReader

MODEL = "EfficientNet-Lite2, NanoDet-g, BlazeFace"

_SAMPLE_SIDE = 608
"""Longer side, in pixels, of the picture for the models. It is their largest input size."""

_MODELS_BYTES = 100 << 20
"""Memory of the three models with their libraries (measured: 80 MB)."""

_PICTURE_BYTES = 70 << 20
"""Memory of the intermediate results for one picture (measured: 58 MB)."""

_MIN_PAPER = 0.7
"""Minimum mean luma (0-1) of a colorless picture that may be a page."""

_MIN_TEXT_PROBABILITY = 0.3
_WITH_TEXT = (
    *("street sign", "website", "menu", "book cover", "comic", "crossword puzzle", "packet"),
    *("envelope", "scoreboard", "bookstore", "pill bottle", "soda bottle", "wine bottle"),
)
"""Classes of things with text on them, and the minimum sum of their probabilities at which text is
read."""


class Local(Describer):
    """Describes in English the people, things and text that a picture shows."""

    shared_memory = _MODELS_BYTES + READER_BYTES

    def __init__(self, setup: Setup) -> None:
        """Load the models, except for those for text. This takes 0.2 s."""
        super().__init__(setup)
        self._recognizer = Recognizer()
        self._reader: TextReader | None = None
        self._reader_lock = Lock()

    def memory(self, image: bytes) -> int:
        """Return the maximum memory for decoding, recognizing and reading, in bytes."""
        return _PICTURE_BYTES + reader_bytes(image)

    def describe(self, image: bytes, options: Options) -> Description:
        """Describe one image file in English, regardless of `options.language`.

        Raises:
            DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
        """
        facts = read_facts(image, sample_side=_SAMPLE_SIDE)
        picture = _displayed_sample(facts)
        layout = measure_layout(picture)
        probabilities = self._recognizer.probabilities(picture)

        kind, found = kind_by_sight(facts, layout, probabilities), NO_TEXT
        if _should_read(facts, kind, layout, probabilities, options):
            found = self._text_reader().read(image, facts)
            kind = kind_by_text(kind, facts, layout, probabilities, found.lines)

        is_photograph = kind == "photograph"
        shown = self._recognizer.recognize(picture, probabilities) if is_photograph else NOTHING
        scene = Scene(
            facts, kind, shown.subjects, shown.is_outdoors, layout.is_colorless, found.text
        )
        return _to_description(scene, {**shown.to_json(), **_text_facts(found)}, options)

    def _text_reader(self) -> "TextReader":
        """Return the models for text, loading them on first use. Few photographs need them."""
        with self._reader_lock:
            if self._reader is None:
                # Import the libraries only now, because this takes a second and 100 MB.
                module = import_module("..ocr.text_reader", __package__)
                self._reader = module.TextReader()

            return self._reader


def _displayed_sample(facts: Facts) -> Image.Image:
    """Return a picture's sample in RGB, upright, and at most _SAMPLE_SIDE pixels wide and high."""
    stored = facts.picture
    sample = stored.sample
    if sample is None:
        raise ValueError("the facts were read without a sample")

    picture = as_displayed(
        sample.pixels, stored, size=sample.full_size, background=facts.background
    )
    picture.thumbnail((_SAMPLE_SIDE, _SAMPLE_SIDE), Image.Resampling.BILINEAR)
    return picture


def _should_read(
    facts: Facts,
    kind: PictureKind,
    layout: Layout,
    probabilities: NDArray[np.float32],
    options: Options,
) -> bool:
    """Return whether to read text. Unless the options decide, text is read where it is likely."""
    if options.text is not None:
        return options.text

    # Small print looks like a texture or like a photograph.
    is_like_paper = layout.is_colorless and (facts.appearance.brightness or 0) >= _MIN_PAPER
    return (
        kind in ("screenshot", "graphic")
        or is_like_paper
        or layout.looks_like_text
        or probability_of(_WITH_TEXT, probabilities) >= _MIN_TEXT_PROBABILITY
    )


def _text_facts(found: ReadText) -> dict[str, JsonValue]:
    return {"ocr": text_to_json(found)} if found.text else {}


def _to_description(
    scene: Scene, details: Mapping[str, JsonValue], options: Options
) -> Description:
    facts, kind, caption = scene.facts, scene.kind, caption_of(scene)
    return Description(
        description=describe_in_lines(facts, options.max_length, sentence=caption, kind=kind),
        alt=alt_of(scene),
        caption=caption,
        tags=tags_of(scene),
        text=scene.text,
        facts={**to_json(facts), "pictureKind": kind, **details},
        model=f"{MODEL}, {TEXT_MODEL}" if scene.text else MODEL,
        warnings=_language_warnings(options),
    )


def _language_warnings(options: Options) -> list[str]:
    language = options.language
    if language is None or language.lower().split("-")[0] in ("en", "english"):
        return []

    return [f"options.language is {language!r}, but the describer local knows English only"]
