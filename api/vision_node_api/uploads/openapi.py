"""Describe the bodies and parameters of uploads in OpenAPI."""

from typing import Any

from .submit_options import DescribeOptions, SubmitOptions


def submit_schema() -> dict[str, Any]:
    """Return the OpenAPI description of the body and the query parameters of `POST /submit`."""
    return {**body_schema(form_schema()), "parameters": option_parameters(SubmitOptions)}


RETRY_TEXTS = {
    "describer": "name from GET /describers; if absent, the describer stays",
    "text": "when to read the text in the image (true: always; false: never); if absent, it stays",
    "priority": "jobs with a higher priority are described first; if absent, it stays",
    "callbackURL": "https URL to which a signed message is sent when the new job has ended; if "
    "absent, there is none",
}
"""Descriptions of options that mean something else in a retry than in a submission."""


def retry_parameters() -> list[dict[str, Any]]:
    """Return the OpenAPI description of the query parameters of `POST /jobs/{job_id}/retry`."""
    return _query_parameters(_retry_options())


def retry_options_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of the options of a retry in a JSON object or a form."""
    types: dict[str, dict[str, Any]] = {
        "describer": {"type": ["string", "null"]},
        "prompt": {"type": ["string", "null"]},
        "language": {"type": ["string", "null"]},
        "detail": {"enum": ["low", "high", "auto", None]},
        "maxLength": {"type": ["integer", "null"]},
        "fallback": {"enum": ["never", None]},
        "text": {"type": ["boolean", "null"]},
        "ttlSeconds": {"type": ["integer", "null"]},
        "labels": {
            "type": ["string", "object", "null"],
            "additionalProperties": {"type": "string"},
        },
        "priority": {"type": ["integer", "null"]},
        "callbackURL": {"type": ["string", "null"]},
    }
    options = _retry_options()
    return {
        "type": "object",
        "description": "What is to be different. What is absent stays; null is the default.",
        "properties": {
            name: {**schema, "description": options[name]["description"]}
            for name, schema in types.items()
        },
        "additionalProperties": False,
    }


def _retry_options() -> dict[str, dict[str, Any]]:
    """Return the schemas of the options of a retry, which always describes the image again."""
    return {
        name: {**schema, "description": RETRY_TEXTS.get(name, schema["description"])}
        for name, schema in option_schemas(SubmitOptions).items()
        if name != "reuse"
    }


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
    return _query_parameters(option_schemas(options))


def _query_parameters(schemas: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in schemas.items()
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
