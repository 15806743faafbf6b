"""Test cases of the corpus: a file and its expected outcome."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """The actual outcome for a file. The file was refused, it failed, or it was described.

    Args:
        status: HTTP status of the submission.
        reason: Reason for the refusal or failure; None if the file was described.
        text: The refusal, the error message or the description.
        facts: Facts about the image; empty unless it was described.
    """

    status: int
    reason: str | None
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A file and its expected outcome: refused, failed, or described.

    Args:
        data: Contents of the file.
        status: HTTP status of the submission.
        reason: Reason for the refusal or failure; None if the file is described.
        words: Texts that the refusal, the error message or the description must contain.
        facts: Facts that the result must contain. `colors` is a set of color names.
    """

    data: bytes = field(repr=False)
    status: int = 202
    reason: str | None = None
    words: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def differences(self, outcome: Outcome) -> dict[str, Any]:
        """Return the differences from the expected outcome, or {} if there are none."""
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
    """Return a case for a file whose description must contain these words and facts."""
    return Case(data, words=words, facts={"truncated": None, **facts})


def cut_short(data: bytes, **facts: Any) -> Case:
    """Return a case for a truncated file whose remaining part is described."""
    return Case(data, words=("- Truncated: ",), facts={"truncated": True, **facts})


def failed(data: bytes, *words: str, reason: str = "ImageUnreadable") -> Case:
    """Return a case for a file that is accepted but then fails permanently."""
    return Case(data, reason=reason, words=words)


def unreadable(data: bytes, *words: str) -> Case:
    """Return a case for a file that is refused because its header is damaged."""
    return Case(data, 422, "ImageUnreadable", words)


def unsupported(data: bytes, *words: str) -> Case:
    """Return a case for a file that is refused because its format is not supported."""
    return Case(data, 415, "UnsupportedFormat", words)


def part(data: bytes, share: float) -> bytes:
    """Return the start of a file. `share` is the fraction to keep, from 0 to 1."""
    return data[: int(len(data) * share)]


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return the file with the bytes at offset `at` replaced by `new`."""
    return data[:at] + new + data[at + len(new) :]
