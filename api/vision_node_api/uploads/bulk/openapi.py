"""Describe the body and the parameters of `POST /batches` in OpenAPI."""

from typing import Any

from ..batch_options import BatchDocument, BatchOptions
from ..openapi import option_parameters, option_schemas


def batch_schema() -> dict[str, Any]:
    """Return the OpenAPI description of the body and the query parameters of `POST /batches`."""
    archive = {"schema": {"type": "string", "format": "binary"}}
    content = {
        "multipart/form-data": {"schema": _form_schema(option_schemas(BatchOptions))},
        "application/x-tar": archive,
        "application/zip": archive,
        "application/json": {"schema": _document_schema()},
    }
    body = {"required": True, "content": content}
    return {"requestBody": body, "parameters": option_parameters(BatchOptions)}


def _form_schema(options: dict[str, Any]) -> dict[str, Any]:
    files = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "image files, after all options; their names become customIds, and the "
        "field may also have a different name",
    }
    # Generated clients send the fields in this order.
    return {"type": "object", "required": ["files"], "properties": {**options, "files": files}}


def _document_schema() -> dict[str, Any]:
    """Return the schema of the JSON body, with the schemas to which it refers."""
    schema = BatchDocument.model_json_schema()
    parts = schema.pop("$defs")
    resolved: dict[str, Any] = _resolve(schema, parts)
    return resolved


def _resolve(value: Any, parts: dict[str, Any]) -> Any:
    match value:
        case {"$ref": str(reference)}:
            return parts[reference.rpartition("/")[2]]
        case dict():
            return {name: _resolve(it, parts) for name, it in value.items()}
        case list():
            return [_resolve(it, parts) for it in value]
        case _:
            return value
