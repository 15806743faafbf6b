"""The JSON schema of the description that a model must return."""

from typing import Any

from vision_node_contract.models.description import MAX_ALT_CHARACTERS

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["description", "alt", "caption", "tags", "text", "language"],
    "properties": {
        "description": {
            "type": "string",
            "description": "What the picture shows, in several sentences.",
        },
        "alt": {
            "type": "string",
            "description": f"Alternative text, up to {MAX_ALT_CHARACTERS} characters.",
        },
        "caption": {"type": "string", "description": "One sentence."},
        "tags": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Up to 12 words to search by.",
        },
        "text": {
            "type": "string",
            "description": "Text that can be read in the picture, word for word, or empty.",
        },
        "language": {"type": "string", "description": "BCP 47 tag of the language of description."},
    },
}
"""A JSON schema that OpenAI's strict mode supports (Structured Outputs, Supported schemas)."""

FIELDS: frozenset[str] = frozenset(SCHEMA["required"])

FIELD_DESCRIPTIONS: frozenset[str] = frozenset(
    field["description"] for field in SCHEMA["properties"].values()
)
"""Descriptions of the fields. An answer that contains one is the schema itself, which small models
sometimes return."""
