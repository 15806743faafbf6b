"""Takes the thoughts of a reasoning model out of its answer, where its server does not."""

import re

_NAMES = r"(?:think|thinking|thoughts?|reasoning|reflection|seed:think)"

_OPEN = re.compile(rf"<{_NAMES}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>", re.IGNORECASE)
_CLOSE = re.compile(
    rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>final<\|message\|>", re.IGNORECASE
)
"""Tags of DeepSeek, Qwen, Magistral, Kimi, Sky-T1 and of OpenAI's open models (harmony format)."""


class UnclosedThoughtsError(ValueError):
    """The answer is nothing but thoughts: it ended before they did."""


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
