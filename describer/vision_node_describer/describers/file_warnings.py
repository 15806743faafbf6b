"""Adds warnings about the file to a description, for every describer."""

from vision_node_contract.models.description import Description, Options

from .metadata.phrasing import TRUNCATED_LABEL

TRUNCATED = "The file ends too early; the part of the picture that it has is described."

MAX_WARNINGS = 8
"""Maximum number of warnings in a Description."""


def warn_of_truncation(description: Description, options: Options) -> Description:
    """Return the description of a truncated file, with a line, a fact and a warning about it.

    Args:
        description: The describer's description; if it has such a line, it keeps it.
        options: The user's options; a line that would exceed `maxLength` is left out.
    """
    text, line = description.description, f"\n- {TRUNCATED_LABEL}: {TRUNCATED}"
    has_line = description.facts.get("truncated") is True
    fits = options.max_length is None or len(text) + len(line) <= options.max_length

    return description.model_copy(
        update={
            "description": text if has_line or not fits else text + line,
            "facts": {**description.facts, "truncated": True},
            "warnings": [*description.warnings, TRUNCATED][:MAX_WARNINGS],
        }
    )
