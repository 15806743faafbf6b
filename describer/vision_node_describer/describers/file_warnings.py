"""Add warnings about the image file to a description from any describer."""

from vision_node_contract.models.description import Description, Options

from .metadata.phrasing import TRUNCATED_LABEL

TRUNCATED = "The file ends too early; only the intact part of the picture is described."

MAX_WARNINGS = 8
"""Maximum number of warnings in a Description."""


def warn_of_truncation(description: Description, options: Options) -> Description:
    """Add a line, a fact and a warning about the truncation to a truncated file's description.

    Args:
        description: The describer's description. If it already has the line, it is unchanged.
        options: The user's options. A line that would exceed `maxLength` is left out.
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
