"""Takes what surrounds the answer of a model off it, where its server does not: thoughts, template marks."""

import re
from itertools import pairwise

from .json_scan import without_values
from .json_text import is_json

_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|seed:think)"

_OPEN = re.compile(
    r"[\s`*#>_~-]{0,12}(?:"
    rf"<{_NAMES}(?:\s[^<>]{{0,100}})?>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING)\|>|<unused94>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)|<\|channel>thought|analysis(?=[A-Z]))",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>|<unused95>|<channel\|>"
    r"|<\|channel\|>final(?: [^<>]{0,40})?<\|message\|>|(?<=[^\w\s])\s?assistantfinal",
    re.IGNORECASE,
)
"""Marks of DeepSeek, Qwen, Magistral, Kimi, Sky-T1, Command A, Gemma, MedGemma and OpenAI's open
models (the harmony format, with its special tokens or, as some servers leave it, without)."""

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
"""A byte order mark or zero-width characters before JSON make it none."""

_FIRST = re.compile(
    r"<\|im_start\|>(?:assistant\b)?|<start_of_turn>(?:model\b)?|<\|start_header_id\|>assistant<\|end_header_id\|>"
    r"|<s>|<bos>|<\|(?:begin_of_text|begin_of_box|begin_of_solution|START_RESPONSE|assistant)\|>"
    r"|<(?:answer|response|output|result|final|final_answer|solution)>",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"(?:</s>|<eos>|<end_of_turn>|<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|end|return)\|>"
    r"|<\|(?:end_of_box|end_of_solution|END_RESPONSE)\|>"
    r"|</(?:answer|response|output|result|final|final_answer|solution)>)\Z",
    re.IGNORECASE,
)
"""What chat templates, and models by habit, put around an answer."""

_MARKS = 8
"""That are taken off at each end."""

_MARK_CHARACTERS = 80


class UnclosedThoughtsError(ValueError):
    """The answer is nothing but thoughts: it ended before they did."""


def without_marks(text: str) -> str:
    """Return text without space, invisible characters and a chat template's marks around it."""
    for _ in range(_MARKS):
        before = text
        text = text.strip().strip(_INVISIBLE)
        if first := _FIRST.match(text[:_MARK_CHARACTERS]):
            text = text[first.end() :]
        if last := _LAST.search(text[-_MARK_CHARACTERS:]):
            text = text[: last.start() - min(len(text), _MARK_CHARACTERS)]
        if text == before:
            break

    return text


def after_thoughts(text: str) -> str:
    """Return what follows a model's thoughts: the text behind the last mark that ends some.

    A mark within JSON is a quotation of what the picture shows, and so is one within JSON that is
    cut.

    Raises:
        UnclosedThoughtsError: thoughts begin and never end.
    """
    prose = without_values(text)
    ends = [0, *(found.end() for found in _CLOSE.finditer(prose))]
    for begin, end in pairwise(ends):
        if is_json(prose[begin:end]) and prose[begin:end].strip():
            return text[begin:]

    if _OPEN.match(prose, ends[-1]):
        raise UnclosedThoughtsError

    return without_marks(text[ends[-1] :])
