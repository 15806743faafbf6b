"""Makes a Description of what a model answered. Its shape is enforced here and never trusted."""

import re
from typing import Any

from vision_node_contract.description import MAX_ALT_CHARACTERS, Description, Options, Usage
from vision_node_contract.reasons import DescribeError, Reason

from ..wording import TITLE
from .json_answer import fields_in, find_object, is_json, json_object, starts_as_json
from .refusals import is_refusal, sees_no_picture
from .thoughts import UnclosedThoughtsError, after_thoughts, without_markers
from .wording import clean, one_line, shorten
from .wording import said as quoted

MAX_CHARACTERS = 20_000
"""Of a description, or of the text read in a picture: ImageJob's largest `options.maxLength`."""

_MAX_CAPTION_CHARACTERS = 500
_MAX_TAGS = 32
_MAX_TAG_CHARACTERS = 64
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}")

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
"""A byte order mark or zero-width characters before JSON make it none."""

_PICTURE_OF = re.compile(
    r"^\W*(?:(?:an?|the|this)\s+)?(?:(?:black[ -]and[ -]white|[\w-]+)\s+)?"
    r"(?:image|picture|photo|photograph)\b\s*(?:of\b|show(?:s|ing)\b|depict(?:s|ing)\b|:)\s*",
    re.IGNORECASE,
)
"""Screen readers say "image" by themselves (WAI, Images Tutorial, tips)."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["description", "alt", "caption", "tags", "text", "language"],
    "properties": {
        "description": {"type": "string", "description": "What the picture shows, in several sentences."},
        "alt": {"type": "string", "description": f"Alternative text, up to {MAX_ALT_CHARACTERS} characters."},
        "caption": {"type": "string", "description": "One sentence."},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "Up to 12 words to search by."},
        "text": {
            "type": "string",
            "description": "Text that can be read in the picture, word for word, or empty.",
        },
        "language": {"type": "string", "description": "BCP 47 tag of the language of description."},
    },
}
"""What is asked for, within what strict mode allows (OpenAI, Structured Outputs, supported schemas)."""


def read_answer(
    answer: str, options: Options, *, model: str | None, usage: Usage | None, finish: str | None = None
) -> Description:
    """Return the description in a model's answer: JSON, JSON among other text, or plain text.

    Args:
        answer: What the model wrote.
        options: The user's; language and maxLength count here.
        model: Which model it was.
        usage: What it took.
        finish: Why it stopped, in the provider's word, to be named where the answer is not whole.

    Raises:
        DescribeError: EmptyAnswer: it says nothing, or is cut; ContentRefused: it is a refusal.
    """
    text = without_markers(answer.strip().strip(_INVISIBLE).strip())
    whole = json_object(text)
    said = fields_in(whole) if whole else None
    if said is None:
        said = _among_other_text(text, finish)
    return shaped(said, options, model=model, usage=usage)


def _object_or_prose(text: str, finish: str | None) -> dict[str, Any]:
    """Return the object in text, or text itself as its description.

    Raises:
        DescribeError: EmptyAnswer: text starts as JSON and holds no whole object, so it is not for people.
    """
    found = find_object(text)
    if found is not None:
        return found
    if starts_as_json(text):
        why = f" (the provider says: finish reason {quoted(finish)})" if finish else ""
        raise DescribeError(Reason.EMPTY_ANSWER, f"the answer is JSON that is cut or broken{why}")
    return {"description": text}


def _among_other_text(text: str, finish: str | None) -> dict[str, Any]:
    try:
        candidates = after_thoughts(text)
    except UnclosedThoughtsError as error:
        why = f"; finish reason {quoted(finish)}" if finish else ""
        message = f"the model thought until its end{why}; raise maxOutputTokens in the Describer's options"
        raise DescribeError(Reason.EMPTY_ANSWER, message) from error
    for candidate in candidates[1:]:
        if (found := find_object(candidates[0])) or (found := find_object(candidate)):
            return found
    return _object_or_prose(candidates[0], finish)


def shaped(
    said: dict[str, Any], options: Options, *, model: str | None = None, usage: Usage | None = None
) -> Description:
    """Return a Description that keeps to the shape, of an object that may not.

    Raises:
        DescribeError: EmptyAnswer: it has no description; ContentRefused: its description is a refusal.
    """
    body = _untitled(clean(_string(said.get("description")), MAX_CHARACTERS))
    if not body:
        body = clean(_string(said.get("caption")) or _string(said.get("alt")), MAX_CHARACTERS)
    if not body or is_json(body):
        raise DescribeError(Reason.EMPTY_ANSWER, "the model answered without a description that can be read")
    if sees_no_picture(body):
        message = f"the model saw no picture; set one that reads pictures: {quoted(body)}"
        raise DescribeError(Reason.REQUEST_REFUSED, message)
    if is_refusal(body):
        raise DescribeError(Reason.CONTENT_REFUSED, f"the model refused: {quoted(body)}")

    caption = one_line(_string(said.get("caption")) or _first_sentence(body), _MAX_CAPTION_CHARACTERS)
    language = _string(said.get("language"))
    return Description(
        description=shorten(f"{TITLE}\n{body}", options.max_length or MAX_CHARACTERS),
        alt=_alt(_string(said.get("alt")), caption, body),
        caption=caption,
        tags=_tags(said.get("tags")),
        text=clean(_string(said.get("text")), MAX_CHARACTERS),
        language=language if _LANGUAGE.fullmatch(language) else options.language or "en",
        model=one_line(model, 256) if model else None,
        usage=usage,
    )


def _string(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _untitled(text: str) -> str:
    while text.lower().startswith(TITLE.lower()):
        text = text[len(TITLE) :].lstrip()
    return text


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
    given = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    tags = (one_line(_string(tag).lstrip("#"), _MAX_TAG_CHARACTERS).lower() for tag in given)
    return [tag for tag in dict.fromkeys(tags) if tag][:_MAX_TAGS]
