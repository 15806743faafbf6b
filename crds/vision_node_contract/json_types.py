"""The type of JSON objects that have no model, such as third-party Kubernetes objects."""

from typing import Any

Json = dict[str, Any]
"""A JSON object with any JSON values."""
