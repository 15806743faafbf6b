"""Tests that each kind of incompatible change is found, and that compatible ones are not."""

import copy
from typing import Any

import pytest
from api_documents.compatibility import breaking_changes

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/things/{id}": {
            "get": {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 10},
                    },
                    {"name": "Key", "in": "header", "schema": {"type": "string", "maxLength": 9}},
                ],
                "responses": {
                    "200": {
                        "headers": {"ETag": {}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                        },
                    },
                    "404": {"content": {"application/problem+json": {}}},
                },
            },
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Wanted"}},
                        "image/*": {"schema": {"type": "string", "format": "binary"}},
                    }
                },
                "responses": {"202": {}},
            },
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "title": "Thing",
                "required": ["name", "tags"],
                "properties": {
                    "name": {"type": "string"},
                    "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "state": {"type": "string", "enum": ["on", "off"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                    "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "details": {"type": "object"},
                },
            },
            "Wanted": {
                "type": "object",
                "title": "Wanted",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "detail": {"type": "string", "enum": ["low", "high"]},
                    "ratio": {"type": "number", "maximum": 1},
                },
            },
        }
    },
}

PATH = "paths", "/things/{id}"
PARAMETERS = *PATH, "get", "parameters"
THING = "components", "schemas", "Thing", "properties"
WANTED = "components", "schemas", "Wanted", "properties"
BODY = *PATH, "post", "requestBody"
REMOVED = object()

Change = tuple[tuple[str | int, ...], Any]

BREAKING: dict[str, tuple[Change, str]] = {
    "a removed path": ((PATH, REMOVED), "the path was removed"),
    "a removed method": (((*PATH, "post"), REMOVED), "the method was removed"),
    "a removed parameter": (((*PARAMETERS, 1), REMOVED), "query parameter limit was removed"),
    "a newly required parameter": (
        ((*PARAMETERS, 1, "required"), True),
        "query parameter limit is now required",
    ),
    "a new required parameter": (
        ((*PARAMETERS, 1), {"name": "x", "in": "query", "required": True, "schema": {}}),
        "query parameter x is now required",
    ),
    "a raised minimum": (((*PARAMETERS, 1, "schema", "minimum"), 2), "minimum was narrowed to 2"),
    "a lowered maximum": (((*PARAMETERS, 1, "schema", "maximum"), 9), "maximum was narrowed to 9"),
    "a new bound": (((*PARAMETERS, 0, "schema", "maxLength"), 5), "maxLength was narrowed to 5"),
    "a new pattern": (((*PARAMETERS, 0, "schema", "pattern"), "a+"), "pattern changed"),
    "another type of a parameter": (
        ((*PARAMETERS, 2, "schema"), {"type": "integer"}),
        "the type changed from string to integer",
    ),
    "a removed media type of requests": (
        ((*BODY, "content", "image/*"), REMOVED),
        "the media type image/* was removed",
    ),
    "a removed body": ((BODY, REMOVED), "the media type application/json was removed"),
    "a newly required body": (((*BODY, "required"), True), "the body is now required"),
    "a removed request field": (((*WANTED, "detail"), REMOVED), "field detail was removed"),
    "a newly required request field": (
        (("components", "schemas", "Wanted", "required"), ["name", "detail"]),
        "field detail is now required",
    ),
    "a narrowed enum": (
        ((*WANTED, "detail", "enum"), ["low"]),
        "the allowed values were narrowed to low",
    ),
    "a new enum": (((*WANTED, "name", "enum"), ["a"]), "the allowed values were narrowed to a"),
    "a new constant": (((*WANTED, "name", "const"), "a"), "the allowed values were narrowed to a"),
    "a narrower type of a request": (
        ((*WANTED, "ratio", "type"), "integer"),
        "the type changed from number to integer",
    ),
    "refused unknown fields": (
        (("components", "schemas", "Wanted", "additionalProperties"), False),
        "unknown fields are now refused",
    ),
    "a removed status": (((*PATH, "get", "responses", "404"), REMOVED), "response 404 was removed"),
    "a removed media type of responses": (
        ((*PATH, "get", "responses", "200", "content", "application/json"), REMOVED),
        "the media type application/json was removed",
    ),
    "a removed header": (
        ((*PATH, "get", "responses", "200", "headers", "ETag"), REMOVED),
        "the header ETag was removed",
    ),
    "a removed response field": (((*THING, "size"), REMOVED), "the field size was removed"),
    "a response field that may be missing": (
        (("components", "schemas", "Thing", "required"), ["name"]),
        "the field tags may now be missing",
    ),
    "another type of a response": (
        ((*THING, "name", "type"), "integer"),
        "the type changed from string to integer",
    ),
    "a wider type of a response": (
        ((*THING, "size", "anyOf", 0, "type"), "number"),
        "the type changed from integer, null to null, number",
    ),
    "null in a response": (
        ((*THING, "name"), {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "the type changed from string to null, string",
    ),
    "another type of items": (
        ((*THING, "tags", "items", "type"), "object"),
        "the type changed from string to object",
    ),
    "an object of which less is said": (
        ((*THING, "parts", "items"), {"type": "object"}),
        "the type changed from object Thing to object",
    ),
    "another type of a map's values": (
        ((*THING, "counts", "additionalProperties", "type"), "string"),
        "the type changed from integer to string",
    ),
}

COMPATIBLE: dict[str, Change] = {
    "no change": (("info",), {}),
    "a new path": (("paths", "/new"), {"get": {"responses": {}}}),
    "a new method": ((*PATH, "delete"), {"responses": {}}),
    "a new optional parameter": (
        (*PARAMETERS, 3),
        {"name": "x", "in": "query", "schema": {"type": "string"}},
    ),
    "another case of a header": ((*PARAMETERS, 2, "name"), "KEY"),
    "a lowered minimum": ((*PARAMETERS, 1, "schema", "minimum"), 0),
    "a removed bound": ((*PARAMETERS, 1, "schema", "maximum"), REMOVED),
    "a wider type of a request": ((*PARAMETERS, 1, "schema", "type"), "number"),
    "any type of a request": ((*WANTED, "name"), {}),
    "a new optional request field": ((*WANTED, "new"), {"type": "string"}),
    "a request field that is no longer required": (
        ("components", "schemas", "Wanted", "required"),
        [],
    ),
    "a wider enum": ((*WANTED, "detail", "enum"), ["low", "high", "auto"]),
    "a new status": ((*PATH, "get", "responses", "503"), {}),
    "a new media type": ((*BODY, "content", "application/xml"), {}),
    "a new response field": ((*THING, "new"), {"type": "string"}),
    "a new value of a response": ((*THING, "state", "enum"), ["on", "off", "unknown"]),
    "a response that is never null": ((*THING, "size"), {"type": "integer"}),
    "an object of which more is said": ((*THING, "details", "title"), "Details"),
    "a bound of a response": ((*THING, "name", "maxLength"), 5),
    "another description": ((*THING, "name", "description"), "its name"),
}


def changed(change: Change) -> dict[str, Any]:
    """Return a copy of the document with one value set or removed."""
    document = copy.deepcopy(DOCUMENT)
    (*parents, last), value = change
    found: Any = document
    for key in parents:
        found = found[key]

    if value is REMOVED:
        del found[last]
    elif isinstance(found, list) and last == len(found):
        found.append(value)
    else:
        found[last] = value
    return document


@pytest.mark.parametrize("kind", BREAKING)
def test_incompatible_change_is_found(kind: str) -> None:
    change, words = BREAKING[kind]
    found = breaking_changes(DOCUMENT, changed(change))
    assert any(words in message for message in found), found


@pytest.mark.parametrize("kind", COMPATIBLE)
def test_compatible_change_is_none(kind: str) -> None:
    assert breaking_changes(DOCUMENT, changed(COMPATIBLE[kind])) == []


def test_messages_name_the_route_and_the_field() -> None:
    change: Change = ((*THING, "size"), REMOVED)
    assert breaking_changes(DOCUMENT, changed(change)) == [
        "GET /things/{id}: the response 200: the field size was removed"
    ]
