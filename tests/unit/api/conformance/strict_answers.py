"""Compare answers with the OpenAPI document, more strictly than JSON Schema does.

Clients ignore fields that they don't know, so schemas allow them. Here, an answer has no other
fields than its schema: one that has a name in camelCase where the schema has snake_case is found.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import jsonschema

Json = dict[str, Any]

NOTABLE = frozenset(
    {
        "accept-encoding",
        "allow",
        "cache-control",
        "content-disposition",
        "etag",
        "location",
        "preference-applied",
        "retry-after",
        "vary",
        "vision-node-after",
        "www-authenticate",
    }
)
"""Names of headers that a response may only have if its description has them."""


def closed(value: Any) -> Any:
    """Return a schema, or a document with schemas, that allows no unknown fields."""
    match value:
        case {"properties": dict(), **rest} if "additionalProperties" not in rest:
            return {
                **{name: closed(it) for name, it in value.items()},
                "additionalProperties": False,
            }
        case dict():
            return {name: closed(it) for name, it in value.items()}
        case list():
            return [closed(it) for it in value]
        case _:
            return value


class Answers:
    """Finds differences between answers and an OpenAPI document."""

    def __init__(self, document: Json) -> None:
        self._paths: Json = document["paths"]
        self._components = closed(document["components"])

    def differences(
        self, operation: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> Iterator[str]:
        """Yield what an answer has, and its description lacks.

        Args:
            operation: Method and template of the path, as in `GET /status/{job_id}`.
            status: The status of the answer.
            headers: Its headers.
            body: Its body.
        """
        method, path = operation.split(" ", 1)
        responses = self._paths[path][method.lower()]["responses"]
        found = responses.get(str(status)) or responses.get("default")
        if found is None:
            yield f"{operation} {status}: the status is not declared"
            return

        names = {name.lower() for name in found.get("headers", {})}
        for name in NOTABLE.intersection(name.lower() for name in headers) - names:
            yield f"{operation} {status}: the header {name} is not declared"

        media_type = headers.get("content-type", "").partition(";")[0]
        if body and media_type.endswith("json"):
            schema = found.get("content", {}).get(media_type, {}).get("schema", False)
            for error in self.errors(json.loads(body), schema):
                yield f"{operation} {status}: {error}"

    def errors(self, value: Any, schema: Json | Literal[False]) -> Iterator[str]:
        """Yield why a value does not match its schema. No value matches False."""
        if schema is False:
            yield "the body is not declared"
            return

        strict = {**closed(schema), "components": self._components}
        validator = jsonschema.Draft202012Validator(strict)
        for error in validator.iter_errors(value):
            yield f"{error.json_path}: {error.message[:300]}"

    def errors_by_name(self, value: Any, name: str) -> Iterator[str]:
        """Yield why a value does not match the schema with a name."""
        yield from self.errors(value, {"$ref": f"#/components/schemas/{name}"})
