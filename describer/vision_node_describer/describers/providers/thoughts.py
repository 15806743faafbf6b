"""Takes the thoughts of a reasoning model out of its answer, where its server does not."""

import re

_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|seed:think)"

_OPEN = re.compile(
    rf"<{_NAMES}>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING)\|>|<unused94>"
    r"|<\|channel\|>analysis<\|message\|>",
    re.IGNORECASE,
)
_CLOSE = re.compile(
    rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>|<unused95>"
    r"|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
"""Tags of DeepSeek, Qwen, Magistral, Kimi, Sky-T1, Command A, MedGemma and OpenAI's open models (harmony)."""

_MARKERS = re.compile(
    r"</?answer>|<\|(?:begin|end)_of_box\|>|<\|(?:START|END)_RESPONSE\|>"
    r"|(?:</s>|<\|(?:im_end|eot_id|endoftext|end|return)\|>|<end_of_turn>)\s*$",
    re.IGNORECASE,
)
"""What chat templates put around an answer or at its end, where a server leaves it in."""


class UnclosedThoughtsError(ValueError):
    """The answer is nothing but thoughts: it ended before they did."""


def without_markers(text: str) -> str:
    """Return text without what a chat template has put around it."""
    return _MARKERS.sub("", text).strip()


def after_thoughts(text: str) -> list[str]:
    """Return what may be the answer behind a model's thoughts, the most likely first.

    That is what follows the last closing tag; or what follows the first one, where the answer itself quotes
    such a tag from the picture.

    Raises:
        UnclosedThoughtsError: thoughts begin and never end.
    """
    ends = [found.end() for found in _CLOSE.finditer(text)]
    if ends:
        return [text[end:].strip() for end in dict.fromkeys((ends[-1], ends[0]))]
    if _OPEN.match(text.lstrip()):
        raise UnclosedThoughtsError
    return [text]
