"""Says in a description what its reader should know of the file, whichever describer made it."""

from vision_node_contract.models.description import Description, Options

from .metadata.phrasing import TRUNCATED_LABEL

TRUNCATED = "The file ends too early; what is there of the picture is described."


def warn_of_truncation(description: Description, options: Options) -> Description:
    """Return the description of a file that ends too early, saying so in a line, a fact and a warning.

    Args:
        description: As the describer made it; its line stays if it has one.
        options: The user's; a line that `maxLength` has no room for is left out.
    """
    text, line = description.description, f"\n- {TRUNCATED_LABEL}: {TRUNCATED}"
    told = description.facts.get("truncated") is True
    fits = options.max_length is None or len(text) + len(line) <= options.max_length
    return description.model_copy(
        update={
            "description": text if told or not fits else text + line,
            "facts": {**description.facts, "truncated": True},
            "warnings": [*description.warnings, TRUNCATED][:8],
        }
    )
