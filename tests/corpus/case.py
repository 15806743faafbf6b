"""One file and what becomes of it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file, with what was said: a refusal, an error or the description."""

    status: int
    reason: str | None
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A file and its outcome: refused at once, failed, or described.

    Args:
        data: The file.
        status: HTTP status of the submit.
        reason: Why it is refused or fails; None if it is described.
        words: What the refusal, the error or the description says.
        facts: What `facts` hold, at least; `colors` as a set of names.
    """

    data: bytes = field(repr=False)
    status: int = 202
    reason: str | None = None
    words: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def differences(self, outcome: Outcome) -> dict[str, Any]:
        """Return what of an outcome is not as it should be; nothing if all is."""
        seen = {key: _fact(outcome.facts, key) for key in self.facts if not self.reason}
        wrong: dict[str, Any] = {
            key: value for key, value in seen.items() if value != self.facts[key]
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
    """Return a file that is described, with these words and facts."""
    return Case(data, words=words, facts={"truncated": None, **facts})


def cut_short(data: bytes, **facts: Any) -> Case:
    """Return a file that is described as far as it goes."""
    return Case(data, words=("- Truncated: ",), facts={"truncated": True, **facts})


def failed(data: bytes, *words: str, reason: str = "ImageUnreadable") -> Case:
    """Return a file that is taken, and then fails for a reason that another attempt would not change."""
    return Case(data, reason=reason, words=words)


def unreadable(data: bytes, *words: str) -> Case:
    """Return a file whose header is damaged, so that the submit is refused."""
    return Case(data, 422, "ImageUnreadable", words)


def unsupported(data: bytes, *words: str) -> Case:
    """Return a file in a format that is refused by its name."""
    return Case(data, 415, "UnsupportedFormat", words)


def part(data: bytes, share: float) -> bytes:
    """Return the first bytes of a file."""
    return data[: int(len(data) * share)]


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return the file with some bytes replaced."""
    return data[:at] + new + data[at + len(new) :]
