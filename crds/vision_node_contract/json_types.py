"""The type of JSON objects that have no typed model, such as third-party Kubernetes objects."""

from typing import Any

Json = dict[str, Any]
"""A JSON object, whose values can be of any JSON type."""
