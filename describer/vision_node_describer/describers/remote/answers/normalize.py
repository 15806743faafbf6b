"""Makes a Description of what a model answered. Its shape is enforced here and never trusted."""

import re

from vision_node_contract.models.description import MAX_ALT_CHARACTERS, Description, Options, Usage
from vision_node_contract.models.reasons import DescribeError, Reason

from ...metadata.phrasing import TITLE
from ..sanitize import clean, one_line, shorten
from ..sanitize import said as quoted
from .field_values import language_of, tags_of, text_of, untitled
from .find_object import find_object, json_object, whole_object
from .json_scan import Object
from .json_text import is_json, starts_as_json
from .reasoning_text import UnclosedThoughtsError, after_thoughts, without_marks
from .refusals import is_refusal, sees_no_picture

MAX_CHARACTERS = 20_000
"""Of a description, or of the text read in a picture: ImageJob's largest `options.maxLength`."""

_MAX_CAPTION_CHARACTERS = 500
_MAX_TAGS = 32
_MAX_TAG_CHARACTERS = 64

_PICTURE_OF = re.compile(
    r"^\W*(?:(?:an?|the|this)\s+)?(?:(?:black[ -]and[ -]white|[\w-]+)\s+)?"
    r"(?:image|picture|photo|photograph)\b\s*(?:of\b|show(?:s|ing)\b|depict(?:s|ing)\b|:)\s*",
    re.IGNORECASE,
)
"""Screen readers say "image" by themselves (WAI, Images Tutorial, tips)."""

_WITHOUT_DESCRIPTION = "the model answered without a description that can be read"

_RAISE_LIMIT = "raise maxOutputTokens in the Describer's options"


def read_answer(
    answer: str,
    options: Options,
    *,
    model: str | None,
    usage: Usage | None,
    finish: str | None = None,
) -> Description:
    """Return the description in a model's answer: JSON, JSON among other text, or plain text.

    Args:
        answer: What the model wrote.
        options: The user's; language and maxLength count here.
        model: Which model it was.
        usage: What it took.
        finish: Why it stopped, in the provider's word, to be named where the answer is not whole.

    Raises:
        DescribeError: EmptyAnswer: it says nothing, or is cut; ContentRefused: it is a refusal;
            RequestRefused: the model says that it got no picture.
    """
    return shaped(read_object(answer, finish=finish), options, model=model, usage=usage)


class NotWholeError(DescribeError):
    """The answer is JSON that is cut or broken, or no object."""


def read_object(answer: str, *, finish: str | None = None, advice: str = _RAISE_LIMIT) -> Object:
    """Return the object with a description's fields in an answer; of plain text, one with it as description.

    Args:
        answer: What a model or a container wrote.
        finish: Why it stopped, in the provider's word.
        advice: What to do about a model that thinks until its end.

    Raises:
        DescribeError: EmptyAnswer: it says nothing but thoughts, or has none of the fields.
        NotWholeError: likewise EmptyAnswer.
    """
    text = without_marks(answer)
    if found := whole_object(text):
        return found

    try:
        text = after_thoughts(text)
    except UnclosedThoughtsError as error:
        message = f"the model thought until its end{_why(finish)}; {advice}"
        raise DescribeError(Reason.EMPTY_ANSWER, message) from error

    if found := find_object(text):
        return found
    if starts_as_json(text):
        raise _unreadable(text, finish)

    return {"description": text}


def holds_object(answer: str) -> bool:
    """Return whether an answer holds an object with a description's fields that is whole."""
    text = without_marks(answer)
    try:
        return (whole_object(text) or find_object(after_thoughts(text))) is not None
    except UnclosedThoughtsError:
        return False


def _unreadable(text: str, finish: str | None) -> DescribeError:
    if not text or json_object(text) is not None:
        return DescribeError(Reason.EMPTY_ANSWER, f"{_WITHOUT_DESCRIPTION}{_why(finish)}")
    return NotWholeError(
        Reason.EMPTY_ANSWER, f"the answer is JSON that is cut or broken{_why(finish)}"
    )


def _why(finish: str | None) -> str:
    return f" (the provider says: finish reason {quoted(finish)})" if finish else ""


def shaped(
    said: Object, options: Options, *, model: str | None = None, usage: Usage | None = None
) -> Description:
    """Return a Description that keeps to the shape, of an object that may not.

    Raises:
        DescribeError: EmptyAnswer: it has no description; ContentRefused: its description is a
        refusal;
            RequestRefused: its description is that the model got no picture.
    """
    body = _body(said)
    caption = _words(said.get("caption"), _MAX_CAPTION_CHARACTERS) or one_line(
        _first_sentence(body), _MAX_CAPTION_CHARACTERS
    )

    return Description(
        description=shorten(f"{TITLE}\n{body}", options.max_length or MAX_CHARACTERS),
        alt=_alt(_words(said.get("alt"), 4 * MAX_ALT_CHARACTERS), caption, body),
        caption=caption,
        tags=_tags(said.get("tags")),
        text=clean(text_of(said.get("text")), MAX_CHARACTERS),
        language=language_of(said.get("language")) or options.language or "en",
        model=one_line(model, 256) if model else None,
        usage=usage,
    )


def _body(said: Object) -> str:
    """Return the description's text.

    Raises:
        DescribeError: as shaped().
    """
    fields = (said.get(name) for name in ("description", "caption", "alt"))
    bodies = (untitled(clean(text_of(field), MAX_CHARACTERS)) for field in fields)
    body = next((body for body in bodies if body), "")
    if is_json(body):
        raise DescribeError(Reason.EMPTY_ANSWER, _WITHOUT_DESCRIPTION)
    if sees_no_picture(body):
        message = f"the model saw no picture; set one that reads pictures: {quoted(body)}"
        raise DescribeError(Reason.REQUEST_REFUSED, message)
    if is_refusal(body):
        raise DescribeError(Reason.CONTENT_REFUSED, f"the model refused: {quoted(body)}")

    return body


def _words(value: object, most: int) -> str:
    """Return a field on one line; "" if it is JSON or a refusal, which the description may not be."""
    words = one_line(text_of(value), most)
    return "" if is_json(words) or is_refusal(words) else words


def _first_sentence(text: str) -> str:
    line = text.splitlines()[0].lstrip("-*# ")
    end = re.search(r"[.!?](\s|$)", line)
    return line[: end.end()].strip() if end else line


def _alt(*candidates: str) -> str:
    """Return the first candidate that says something besides being a picture."""
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
