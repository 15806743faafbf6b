"""Read the description object from a model's answer (JSON, JSON within text, or plain text)."""

from vision_node_contract.models.reasons import DescribeError, Reason

from ..sanitize import quote_provider
from .detect_json import starts_like_json
from .find_object import find_object, whole_object
from .reasoning_text import UnfinishedReasoningError, after_reasoning, without_template_marks
from .strict_json import JsonObject, parse_object

NO_DESCRIPTION = "the model answered without a readable description"

_RAISE_LIMIT = "raise maxOutputTokens in the Describer's options"


class BrokenJsonError(DescribeError):
    """The answer is JSON that is incomplete, invalid or not an object."""


def read_object(
    answer: str, *, finish_reason: str | None = None, advice: str = _RAISE_LIMIT
) -> JsonObject:
    """Return the description object in an answer; plain text becomes its `description`.

    Args:
        answer: The text from a model or a container.
        finish_reason: The provider's code for why the model stopped.
        advice: Advice for the error message if a model never stops reasoning.

    Raises:
        DescribeError: EmptyAnswer if the answer is only reasoning or has none of the fields.
        BrokenJsonError: EmptyAnswer if the answer is incomplete or invalid JSON.
    """
    text = without_template_marks(answer)
    if found := whole_object(text):
        return found

    try:
        text = after_reasoning(text)
    except UnfinishedReasoningError as error:
        stopped = f"the model stopped while it was still reasoning{_because(finish_reason)}"
        raise DescribeError(Reason.EMPTY_ANSWER, f"{stopped}; {advice}") from error

    if found := find_object(text):
        return found
    if starts_like_json(text):
        raise _unreadable(text, finish_reason)

    return {"description": text}


def contains_object(answer: str) -> bool:
    """Return whether an answer contains a complete description object."""
    text = without_template_marks(answer)
    try:
        return (whole_object(text) or find_object(after_reasoning(text))) is not None
    except UnfinishedReasoningError:
        return False


def _unreadable(text: str, finish_reason: str | None) -> DescribeError:
    because = _because(finish_reason)
    if not text or parse_object(text) is not None:
        return DescribeError(Reason.EMPTY_ANSWER, f"{NO_DESCRIPTION}{because}")
    return BrokenJsonError(
        Reason.EMPTY_ANSWER, f"the answer is JSON that is cut off or broken{because}"
    )


def _because(finish_reason: str | None) -> str:
    return f" (finish reason {quote_provider(finish_reason)})" if finish_reason else ""
