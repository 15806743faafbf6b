"""The type of JSON objects that have no model, such as other people's Kubernetes objects."""

from typing import Any

Json = dict[str, Any]
"""A JSON object: its values may be anything that JSON has."""
