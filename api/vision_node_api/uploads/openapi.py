"""Describe the bodies and parameters of uploads in OpenAPI."""

from typing import Any

from .submit_options import DescribeOptions, SubmitOptions


def submit_schema() -> dict[str, Any]:
    """Return the OpenAPI description of the body and the query parameters of `POST /submit`."""
    return {**body_schema(form_schema()), "parameters": option_parameters(SubmitOptions)}


def body_schema(form: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of an upload's body, which is `form` or only an image."""
    raw = {"schema": {"type": "string", "format": "binary", "description": "the image alone"}}
    content = {
        "multipart/form-data": {"schema": form},
        "image/*": raw,
        "application/octet-stream": raw,
    }
    return {"requestBody": {"required": True, "content": content}}


def form_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of a form with an image and options."""
    image = image_form_schema()
    return {**image, "properties": {**image["properties"], **option_schemas(SubmitOptions)}}


def image_form_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of a form with only an image."""
    description = "the image file or its base64 text; the field may also have a different name"
    image = {"type": "string", "format": "binary", "description": description}
    return {"type": "object", "required": ["file"], "properties": {"file": image}}


def option_parameters(options: type[DescribeOptions]) -> list[dict[str, Any]]:
    """Return the OpenAPI description of the options as query parameters."""
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in option_schemas(options).items()
    ]


def option_schemas(options: type[DescribeOptions]) -> dict[str, dict[str, Any]]:
    """Return the OpenAPI schema of each option, by its name."""
    properties = options.model_json_schema()["properties"]
    return {name: _without_null(schema) for name, schema in properties.items()}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without its null variant, because a form field can't be null.

    It has no minimum length, because blank fields are ignored.
    """
    options = next(kind for kind in schema["anyOf"] if kind != {"type": "null"})
    variant = {name: value for name, value in options.items() if name != "minLength"}
    rest = {
        name: value for name, value in schema.items() if name not in {"anyOf", "default", "title"}
    }
    return {**variant, **rest}
