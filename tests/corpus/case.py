"""A file and its expected outcome."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """The actual outcome for a file: a refusal, an error or a description, with its text."""

    status: int
    reason: str | None
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A file and its expected outcome: refused, failed, or described.

    Args:
        data: The file.
        status: HTTP status of the submission.
        reason: Reason of the refusal or failure; None if the file is described.
        words: Texts that the refusal, the error or the description contains.
        facts: Expected values in `facts`; `colors` is a set of names.
    """

    data: bytes = field(repr=False)
    status: int = 202
    reason: str | None = None
    words: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def differences(self, outcome: Outcome) -> dict[str, Any]:
        """Return the differences from the expected outcome; {} if there are none."""
        facts = {key: _fact(outcome.facts, key) for key in self.facts if not self.reason}
        wrong: dict[str, Any] = {
            key: value for key, value in facts.items() if value != self.facts[key]
        }

        if (outcome.status, outcome.reason) != (self.status, self.reason):
            wrong["outcome"] = outcome

        if missing := [word for word in self.words if word not in outcome.text]:
            wrong["words"] = (missing, outcome.text)

        return wrong


def _fact(facts: dict[str, Any], key: str) -> Any:
    value = facts.get(key)
    return {color["name"] for color in value} if key == "colors" and value is not None else value


def described(data: bytes, *words: str, **facts: Any) -> Case:
    """Return the case of a file that is described with these words and facts."""
    return Case(data, words=words, facts={"truncated": None, **facts})


def cut_short(data: bytes, **facts: Any) -> Case:
    """Return the case of a cut-off file whose remaining part is described."""
    return Case(data, words=("- Truncated: ",), facts={"truncated": True, **facts})


def failed(data: bytes, *words: str, reason: str = "ImageUnreadable") -> Case:
    """Return the case of a file that is accepted and then fails permanently."""
    return Case(data, reason=reason, words=words)


def unreadable(data: bytes, *words: str) -> Case:
    """Return the case of a file that is refused because its header is damaged."""
    return Case(data, 422, "ImageUnreadable", words)


def unsupported(data: bytes, *words: str) -> Case:
    """Return the case of a file that is refused because its format is not supported."""
    return Case(data, 415, "UnsupportedFormat", words)


def part(data: bytes, share: float) -> bytes:
    """Return the first part of a file; `share` is from 0 to 1."""
    return data[: int(len(data) * share)]


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return the file with some bytes replaced."""
    return data[:at] + new + data[at + len(new) :]
