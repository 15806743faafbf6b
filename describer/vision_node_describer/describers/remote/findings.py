"""Puts into words what a recogniser found, with how sure it is: a list of findings is not a description."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from vision_node_contract.models.description import Description, Options

from .answers.normalize import shaped

LIKELY = 0.75
"""From this confidence on a label counts as likely, below as possible, and below POSSIBLE not at
all."""

POSSIBLE = 0.5

_TEXT_CHARACTERS = 200
"""Of the text, in the description; all of it is in `text`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that may be in the picture."""

    name: str
    confidence: float
    """0 to 1, as the provider says."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that one provider found."""

    labels: Sequence[Finding]
    text: str
    faces: int
    unsafe: Sequence[str]
    """In words, such as "likely violence"."""


def describe_findings(
    found: Findings, options: Options, *, model: str, faces_most: int
) -> Description:
    """Return the findings as a Description, in English.

    Args:
        found: What was found.
        options: The user's; maxLength counts.
        model: The provider's name for what looked.
        faces_most: More faces than that it does not count.
    """
    likely = [label.name for label in found.labels if label.confidence >= LIKELY]
    summary = _summary(likely, found, faces_most)
    said = {
        "description": "\n".join(f"- {line}" for line in _lines(found, faces_most)),
        "alt": summary,
        "caption": f"{summary}.",
        "tags": likely,
        "text": found.text,
        "language": "en",
    }
    description = shaped(said, options, model=model)

    return description.model_copy(update={"facts": _facts(found)})


def _lines(found: Findings, faces_most: int) -> Iterator[str]:
    certain = [label for label in found.labels if label.confidence >= LIKELY]
    doubtful = [label for label in found.labels if POSSIBLE <= label.confidence < LIKELY]
    if certain:
        yield f"Likely contains: {_shares(certain)}"

    if doubtful:
        yield f"Possibly contains: {_shares(doubtful)}"

    if found.faces:
        yield f"Faces: {_count(found.faces, faces_most)}"

    if found.text.strip():
        text = " ".join(found.text.split())
        yield f"Text: “{text[:_TEXT_CHARACTERS]}{'…' if len(text) > _TEXT_CHARACTERS else ''}”"

    if found.unsafe:
        yield f"May be unsafe: {', '.join(found.unsafe)}"

    if not (certain or doubtful or found.faces or found.text.strip() or found.unsafe):
        yield "Nothing was recognised"


def _summary(likely: Sequence[str], found: Findings, faces_most: int) -> str:
    parts = [f"Likely contains {_listed(likely[:4])}"] if likely else []
    if found.faces:
        parts.append(f"{_count(found.faces, faces_most)} {'face' if found.faces == 1 else 'faces'}")
    if found.text.strip():
        parts.append("some text")
    return ", ".join(parts) or "Nothing was recognised"


def _count(faces: int, most: int) -> str:
    return f"{most} or more" if faces >= most else str(faces)


def _shares(labels: Sequence[Finding]) -> str:
    return ", ".join(with_share(label) for label in labels)


def with_share(finding: Finding) -> str:
    """Return "dog (97 %)"."""
    return f"{finding.name.lower()} ({round(100 * finding.confidence)} %)"


def _listed(names: Sequence[str]) -> str:
    words = [name.lower() for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _facts(found: Findings) -> dict[str, JsonValue]:
    return {
        "labels": [
            {"name": label.name, "confidence": round(label.confidence, 3)} for label in found.labels
        ],
        "faces": found.faces,
        "unsafe": list(found.unsafe),
    }
