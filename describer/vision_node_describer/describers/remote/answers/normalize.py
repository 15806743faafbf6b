"""Convert a model's answer, whose fields may have any type or length, to a Description."""

import re

from vision_node_contract.models.description import MAX_ALT_CHARACTERS, Description, Options, Usage
from vision_node_contract.models.reasons import DescribeError, Reason

from ...metadata.phrasing import TITLE
from ..sanitize import clean, one_line, quote_provider, shorten
from .detect_json import looks_like_json
from .field_values import language_of, tags_of, text_of, without_title
from .read_object import NO_DESCRIPTION, read_object
from .refusals import is_refusal, sees_no_picture
from .strict_json import JsonObject

MAX_CHARACTERS = 20_000
"""Maximum length of a description, and of the text that is read in a picture. It equals the
maximum value of an ImageJob's `options.maxLength`."""

_MAX_CAPTION_CHARACTERS = 500
_MAX_TAGS = 32
_MAX_TAG_CHARACTERS = 64
_MAX_MODEL_CHARACTERS = 256

_PICTURE_OF = re.compile(
    r"^\W*(?:(?:an?|the|this)\s+)?(?:(?:black[ -]and[ -]white|[\w-]+)\s+)?"
    r"(?:image|picture|photo|photograph)\b\s*(?:of\b|show(?:s|ing)\b|depict(?:s|ing)\b|:)\s*",
    re.IGNORECASE,
)
"""Phrases such as "image of", which are redundant because screen readers announce images (WAI,
Images Tutorial, Tips and Tricks)."""


def read_answer(
    answer: str,
    options: Options,
    *,
    model: str | None,
    usage: Usage | None,
    finish_reason: str | None = None,
) -> Description:
    """Return the description in a model's answer: JSON, JSON among other text, or plain text.

    Args:
        answer: The model's text.
        options: The user's options; only language and maxLength have an effect.
        model: Name of the model.
        usage: Number of tokens that the request used.
        finish_reason: The provider's code for why the model stopped, for error messages.

    Raises:
        DescribeError: EmptyAnswer if the answer is empty or incomplete; ContentRefused if it is a
            refusal; RequestRefused if the model says that it received no picture.
    """
    found = read_object(answer, finish_reason=finish_reason)
    return normalize_answer(found, options, model=model, usage=usage)


def normalize_answer(
    answer: JsonObject, options: Options, *, model: str | None = None, usage: Usage | None = None
) -> Description:
    """Return a valid Description for an object whose fields may have any type or length.

    Raises:
        DescribeError: EmptyAnswer if the object has no description; ContentRefused if the
            description is a refusal; RequestRefused if it says that the model received no picture.
    """
    body = _body(answer)
    caption = _line(answer.get("caption"), _MAX_CAPTION_CHARACTERS) or one_line(
        _first_sentence(body), _MAX_CAPTION_CHARACTERS
    )

    return Description(
        description=shorten(f"{TITLE}\n{body}", options.max_length or MAX_CHARACTERS),
        alt=_alt(_line(answer.get("alt"), 4 * MAX_ALT_CHARACTERS), caption, body),
        caption=caption,
        tags=_tags(answer.get("tags")),
        text=clean(text_of(answer.get("text")), MAX_CHARACTERS),
        language=language_of(answer.get("language")) or options.language or "en",
        model=one_line(model, _MAX_MODEL_CHARACTERS) if model else None,
        usage=usage,
    )


def _body(answer: JsonObject) -> str:
    """Return the description's text.

    Raises:
        DescribeError: For the same reasons as normalize_answer().
    """
    fields = (answer.get(name) for name in ("description", "caption", "alt"))
    bodies = (without_title(clean(text_of(field), MAX_CHARACTERS)) for field in fields)
    body = next((body for body in bodies if body), "")

    if looks_like_json(body):
        raise DescribeError(Reason.EMPTY_ANSWER, NO_DESCRIPTION)
    if sees_no_picture(body):
        message = (
            f"the model saw no picture; choose a model that reads pictures: {quote_provider(body)}"
        )
        raise DescribeError(Reason.REQUEST_REFUSED, message)
    if is_refusal(body):
        raise DescribeError(Reason.CONTENT_REFUSED, f"the model refused: {quote_provider(body)}")

    return body


def _line(value: object, max_characters: int) -> str:
    """Return a field on one line; "" if it is JSON or a refusal.

    In the description, either of these is an error.
    """
    line = one_line(text_of(value), max_characters)
    return "" if looks_like_json(line) or is_refusal(line) else line


def _first_sentence(text: str) -> str:
    line = text.splitlines()[0].lstrip("-*# ")
    end = re.search(r"[.!?](\s|$)", line)
    return line[: end.end()].strip() if end else line


def _alt(*candidates: str) -> str:
    """Return the first candidate that has words other than "image of", shortened."""
    for candidate in candidates:
        words = one_line(candidate, 4 * MAX_ALT_CHARACTERS)
        while (shorter := _PICTURE_OF.sub("", words, count=1)) != words:
            words = shorter
        if words:
            return shorten(words[0].upper() + words[1:], MAX_ALT_CHARACTERS)

    return "No short description"


def _tags(value: object) -> list[str]:
    tags = (one_line(tag, _MAX_TAG_CHARACTERS).lower() for tag in tags_of(value))
    return [tag for tag in dict.fromkeys(tags) if tag][:_MAX_TAGS]
