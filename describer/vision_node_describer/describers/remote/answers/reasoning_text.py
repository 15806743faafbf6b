"""Remove the reasoning and chat template marks that servers leave in a model's answer."""

import re
from itertools import pairwise

from .detect_json import looks_like_json
from .json_scan import without_values

_TAG_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|seed:think)"

_OPENING_TAG = re.compile(
    r"[\s`*#>_~-]{0,12}(?:"
    rf"<{_TAG_NAMES}(?:\s[^<>]{{0,100}})?>|\[THINK\]|◁think▷"
    r"|<\|(?:begin_of_thought|START_THINKING)\|>|<unused94>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)"
    r"|<\|channel>thought|analysis(?=[A-Z]))",
    re.IGNORECASE,
)
"""Start of the reasoning of DeepSeek, Qwen, Magistral, Kimi, Sky-T1, Command A, Gemma, MedGemma and
OpenAI's open models. OpenAI's models use the harmony format, and some servers drop its special
tokens."""

_CLOSING_TAG = re.compile(
    rf"</{_TAG_NAMES}>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>|<unused95>|<channel\|>"
    r"|<\|channel\|>final(?: [^<>]{0,40})?<\|message\|>|(?<=[^\w\s])\s?assistantfinal",
    re.IGNORECASE,
)
"""End of the reasoning of the models listed above."""

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
"""The byte order mark and zero-width characters, which make JSON invalid if they precede it."""

_START_MARK = re.compile(
    r"<\|im_start\|>(?:assistant\b)?|<start_of_turn>(?:model\b)?"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>"
    r"|<s>|<bos>|<\|(?:begin_of_text|begin_of_box|begin_of_solution|START_RESPONSE|assistant)\|>"
    r"|<(?:answer|response|output|result|final|final_answer|solution)>",
    re.IGNORECASE,
)
"""A mark that a chat template or a model puts before an answer."""

_END_MARK = re.compile(
    r"(?:</s>|<eos>|<end_of_turn>|<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|end|return)\|>"
    r"|<\|(?:end_of_box|end_of_solution|END_RESPONSE)\|>"
    r"|</(?:answer|response|output|result|final|final_answer|solution)>)\Z",
    re.IGNORECASE,
)
"""A mark that a chat template or a model puts after an answer."""

_MAX_MARKS = 8
"""Maximum number of marks that are removed at each end of an answer."""

_MAX_MARK_CHARACTERS = 80


class UnfinishedReasoningError(ValueError):
    """The answer contains only reasoning, because the model stopped before finishing it."""


def without_template_marks(text: str) -> str:
    """Return text without surrounding spaces, invisible characters and chat template marks."""
    for _ in range(_MAX_MARKS):
        before = text
        text = text.strip().strip(_INVISIBLE)

        if first := _START_MARK.match(text[:_MAX_MARK_CHARACTERS]):
            text = text[first.end() :]
        if last := _END_MARK.search(text[-_MAX_MARK_CHARACTERS:]):
            text = text[: last.start() - min(len(text), _MAX_MARK_CHARACTERS)]
        if text == before:
            break

    return text


def after_reasoning(text: str) -> str:
    """Return the text after a model's reasoning.

    The reasoning usually ends at the last closing tag. Closing tags within JSON are ignored,
    because they are quotations from the picture. If such JSON is truncated, the returned text
    begins with it.

    Raises:
        UnfinishedReasoningError: The reasoning never ends.
    """
    prose = without_values(text)
    ends = [0, *(found.end() for found in _CLOSING_TAG.finditer(prose))]

    for begin, end in pairwise(ends):
        if looks_like_json(prose[begin:end]) and prose[begin:end].strip():
            return text[begin:]

    if _OPENING_TAG.match(prose, ends[-1]):
        raise UnfinishedReasoningError

    return without_template_marks(text[ends[-1] :])
