"""Express facts in English: as lines, a caption, an alt text and tags."""

from collections.abc import Iterator, Mapping, Sequence

from vision_node_contract.images.tiff import MAX_PAGES
from vision_node_contract.models.description import MAX_ALT_CHARACTERS

from ..imaging.animation import MAX_FRAMES, Animation
from ..imaging.truncation import IntactPart
from .colors import Color
from .facts import Facts

TITLE = "Image Description:"

TRUNCATED_LABEL = "Truncated"

_NEARLY_ALL = 0.99
"""If the share of intact rows exceeds this, the description does not state the share."""

# Words for the mean luma and its standard deviation, each with its upper limit (see Appearance).
_BRIGHTNESS = (
    (0.15, "very dark"),
    (0.35, "dark"),
    (0.65, "medium"),
    (0.85, "bright"),
    (1.0, "very bright"),
)
_CONTRAST = ((0.02, "none"), (0.25, "low"), (0.6, "medium"), (1.0, "high"))

_TURNS = {
    2: "stored mirrored",
    3: "stored upside down",
    4: "stored upside down and mirrored",
    5: "stored on its side and mirrored",
    6: "stored on its side",
    7: "stored on its side and mirrored",
    8: "stored on its side",
}
"""How the picture is stored, by EXIF orientation. Viewers turn it upright."""


def describe_in_lines(
    facts: Facts,
    max_length: int | None = None,
    *,
    sentence: str = "",
    first: Mapping[str, str] | None = None,
    kind: str | None = None,
) -> str:
    """Return a description.

    Args:
        facts: The facts, one for each line.
        max_length: Maximum number of characters. The first line that does not fit is left out, and
            so are those after it.
        sentence: A sentence about what the picture shows, which precedes all lines.
        first: Lines that precede those of the facts.
        kind: Kind of picture, if it is known more precisely than from the facts.
    """
    text = f"{TITLE}\n{sentence}" if sentence else TITLE
    if max_length is not None and len(text) > max_length:
        return _cut(text, max_length)

    for key, value in (*(first or {}).items(), *_lines(facts, kind or facts.kind)):
        line = f"\n- {key}: {value}"
        if max_length is not None and len(text) + len(line) > max_length:
            break
        text += line

    return text


def _cut(text: str, max_length: int) -> str:
    """Return the start of a text, cut between two words if it is longer than the title."""
    if max_length <= len(TITLE):
        return text[: max(max_length, 0)]

    return f"{text[: max_length - 1].rsplit(maxsplit=1)[0]}…"


def _lines(facts: Facts, kind: str) -> Iterator[tuple[str, str]]:
    picture, appearance = facts.picture, facts.appearance
    yield "Dimensions", f"{facts.width}x{facts.height} pixels"
    yield "Format", picture.kind.name
    if picture.intact:
        yield TRUNCATED_LABEL, truncation_sentence(picture.intact)

    yield "Color mode", _color_mode(facts)
    yield "Orientation", _orientation(facts)
    if facts.aspect_ratio:
        yield "Aspect ratio", facts.aspect_ratio

    yield "File size", file_size(facts.size_bytes)
    if appearance.colors:
        yield "Colors", ", ".join(f"{color.name} {color.share} %" for color in appearance.colors)

    if appearance.brightness is not None and appearance.contrast is not None:
        yield "Brightness", word_for(appearance.brightness, _BRIGHTNESS)
        yield "Contrast", word_for(appearance.contrast, _CONTRAST)

    yield "Kind", kind
    if picture.animation.frames > 1:
        yield "Animation", _animation(picture.animation, picture.frame)

    if picture.pages > 1:
        yield (
            "Pages",
            f"{picture.pages}{_or_more(picture.pages, MAX_PAGES)} (the first is described)",
        )

    if facts.transparent:
        yield "Transparency", f"{max(1, round(100 * appearance.transparent_share))} %"

    if picture.exif.camera:
        yield "Camera", picture.exif.camera

    if picture.exif.taken:
        yield "Taken", picture.exif.taken.isoformat(sep=" ")


def _color_mode(facts: Facts) -> str:
    return f"{facts.color_mode}, {_counted(facts.picture.bits, 'bit')} per channel"


def _orientation(facts: Facts) -> str:
    number = facts.picture.exif.orientation
    turn = _TURNS.get(number)
    return f"{facts.orientation} ({turn}: EXIF {number})" if turn else facts.orientation


def _animation(animation: Animation, frame: int) -> str:
    seconds = f", {_counted(animation.seconds, 'second')}" if animation.seconds else ""
    described = f" (frame {frame + 1} is described: earlier frames are blank)" if frame else ""
    return f"{animation.frames}{_or_more(animation.frames, MAX_FRAMES)} frames{seconds}{described}"


def _or_more(number: int, limit: int) -> str:
    return " or more" if number >= limit else ""


def truncation_sentence(intact: IntactPart) -> str:
    """Return the sentence about a file that ends too early."""
    share = intact.bottom - intact.top
    part = "part" if share > _NEARLY_ALL else f"{share:.0%}"
    return f"the file ends too early; only the intact {part} of the picture is described"


def _counted(number: float, noun: str) -> str:
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def file_size(size: int) -> str:
    """Return a file size as text in decimal units, as file managers show it."""
    if size < 1000:
        return _counted(size, "byte")

    for unit in ("kB", "MB"):
        size_in_unit = size / (1000 if unit == "kB" else 1_000_000)
        if size_in_unit < 999.5:
            return f"{size_in_unit:.3g} {unit}"

    return f"{size / 1e9:.3g} GB"


def word_for(value: float, scale: Sequence[tuple[float, str]]) -> str:
    """Return the word for the lowest limit that `value` does not exceed."""
    return next((word for limit, word in scale if value <= limit), scale[-1][1])


def alt_text(facts: Facts) -> str:
    """Return a phrase for an `alt` attribute, without "image of", which screen readers add."""
    words = [*_adjectives(facts), facts.kind]
    clause = " ".join(words).capitalize() + f"{_mostly(facts)}, {_pixels(facts)}"
    return clause[:MAX_ALT_CHARACTERS]


def caption(facts: Facts) -> str:
    """Return a sentence to display below the image."""
    exif = facts.picture.exif
    words = [*_brightness_words(facts), *_adjectives(facts), facts.kind]
    article = "An" if words[0][0] in "aeiou" else "A"
    start = f"{article} {' '.join(words)}{_mostly(facts)}, {_pixels(facts)}"

    camera = f", taken with {exif.camera}" if exif.camera else ""
    day = f", taken on {exif.taken:%Y-%m-%d}" if exif.taken else ""
    if camera and day:
        day = day.replace(", taken", "")

    return f"{start}{camera}{day}."


def tags(facts: Facts) -> list[str]:
    """Return lower-case search terms."""
    colors = [color.name for color in facts.appearance.colors[:3]]
    see_through = ["transparent"] if facts.transparent else []
    kind = facts.picture.kind.name.lower()
    return [facts.kind, *_adjectives(facts), *colors, *_brightness_words(facts), *see_through, kind]


def _adjectives(facts: Facts) -> list[str]:
    moving = ["animated"] if facts.picture.animation.frames > 1 else []
    return [*moving, facts.orientation]


def _brightness_words(facts: Facts) -> list[str]:
    """Return the word for the brightness, unless it is medium."""
    if facts.appearance.brightness is None:
        return []
    word = word_for(facts.appearance.brightness, _BRIGHTNESS)
    return [] if word == "medium" else [word]


def _mostly(facts: Facts) -> str:
    names = [color.name for color in _main(facts.appearance.colors)]
    return f", mostly {' and '.join(names)}" if names else ""


def _main(colors: Sequence[Color]) -> Sequence[Color]:
    """Return the first color, and the second unless the first is over four times as frequent."""
    return [color for color in colors[:2] if 4 * color.share >= colors[0].share]


def _pixels(facts: Facts) -> str:
    return f"{facts.width}x{facts.height} pixels"
