"""Convert the labels, text and faces that a provider recognized to a Description."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from vision_node_contract.models.description import Description, Options

from .answers.normalize import normalize_answer

LIKELY = 0.75
"""Minimum confidence of a label that counts as likely."""

POSSIBLE = 0.5
"""Minimum confidence of a label that counts as possible; less certain labels are not mentioned."""

_NOTHING = "Nothing was recognized"

_MAX_TEXT_CHARACTERS = 200
"""Maximum length of the recognized text in the description. The field `text` contains all of it."""

_MAX_SUMMARY_LABELS = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that may be in the picture."""

    name: str
    confidence: float
    """The provider's confidence, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that one provider found."""

    labels: Sequence[Finding]
    text: str
    faces: int
    unsafe: Sequence[str]
    """Phrases such as "likely violence"."""


def describe_findings(
    found: Findings, options: Options, *, model: str, max_faces: int
) -> Description:
    """Return the findings as a Description, in English.

    Args:
        found: Everything that the provider found.
        options: The user's options; only maxLength has an effect.
        model: Name of the service that analyzed the picture.
        max_faces: Maximum number of faces that the provider returns.
    """
    likely = [label.name for label in found.labels if label.confidence >= LIKELY]
    summary = _summary(likely, found, max_faces)
    answer = {
        "description": "\n".join(f"- {line}" for line in _lines(found, max_faces)),
        "alt": summary,
        "caption": f"{summary}.",
        "tags": likely,
        "text": found.text,
        "language": "en",
    }
    description = normalize_answer(answer, options, model=model)

    return description.model_copy(update={"facts": _facts(found)})


def with_confidence(finding: Finding) -> str:
    """Return a finding with its confidence, such as "dog (97 %)"."""
    return f"{finding.name.lower()} ({round(100 * finding.confidence)} %)"


def _lines(found: Findings, max_faces: int) -> Iterator[str]:
    likely = [label for label in found.labels if label.confidence >= LIKELY]
    possible = [label for label in found.labels if POSSIBLE <= label.confidence < LIKELY]
    text = " ".join(found.text.split())

    if likely:
        yield f"Likely contains: {_with_confidences(likely)}"
    if possible:
        yield f"Possibly contains: {_with_confidences(possible)}"
    if found.faces:
        yield f"Faces: {_count(found.faces, max_faces)}"
    if text:
        ellipsis = "…" if len(text) > _MAX_TEXT_CHARACTERS else ""
        yield f"Text: “{text[:_MAX_TEXT_CHARACTERS]}{ellipsis}”"
    if found.unsafe:
        yield f"May be unsafe: {', '.join(found.unsafe)}"

    if not (likely or possible or found.faces or text or found.unsafe):
        yield _NOTHING


def _summary(likely: Sequence[str], found: Findings, max_faces: int) -> str:
    parts = []
    if likely:
        parts.append(f"Likely contains {_join_names(likely[:_MAX_SUMMARY_LABELS])}")
    if found.faces:
        noun = "face" if found.faces == 1 else "faces"
        parts.append(f"{_count(found.faces, max_faces)} {noun}")
    if found.text.strip():
        parts.append("some text")

    return ", ".join(parts) or _NOTHING


def _count(faces: int, max_faces: int) -> str:
    return f"{max_faces} or more" if faces >= max_faces else str(faces)


def _with_confidences(labels: Sequence[Finding]) -> str:
    return ", ".join(with_confidence(label) for label in labels)


def _join_names(names: Sequence[str]) -> str:
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
