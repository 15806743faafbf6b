"""Find changes of a JSON schema that break clients."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Json = dict[str, Any]

ANY = "any type"
"""Kind of a schema without a type, which every value matches."""


class Direction(Enum):
    """Who sends the values: a request may only become wider, a response only narrower."""

    REQUEST = "request"
    RESPONSE = "response"


LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")

_RULES = ("pattern", "format", "multipleOf")
"""Keywords of which no other value can be proved to be wider."""


@dataclass(frozen=True)
class SchemaComparison:
    """Compares schemas of two documents.

    Args:
        old_document: The document in which references of old schemas are looked up.
        new_document: The same for new schemas.
        direction: Who sends the values.
    """

    old_document: Json
    new_document: Json
    direction: Direction
    _compared: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of references that are being compared, because schemas may be recursive."""

    def changes(self, place: str, old: Json, new: Json) -> Iterator[str]:
        """Yield a message for each change that breaks clients.

        Args:
            place: What the schema describes; the messages begin with it.
            old: The old schema.
            new: The new schema.
        """
        references = (old.get("$ref", ""), new.get("$ref", ""))
        if all(references):
            if references in self._compared:
                return
            self._compared.add(references)

        before = _variants(old, self.old_document)
        now = _variants(new, self.new_document)
        yield from self._kinds(place, before, now)

        for kind, schema in before.items():
            if kind in now:
                yield from self._same_kind(place, schema, now[kind])

    def _kinds(self, place: str, before: dict[str, Json], now: dict[str, Json]) -> Iterator[str]:
        """Compare the types. A request may send an old one, and a response must not have others."""
        sent, known = (before, now) if self.direction is Direction.REQUEST else (now, before)
        foreign = [kind for kind in sent if not _is_accepted(kind, known)]
        if foreign:
            yield f"{place}: the type changed from {_list(before)} to {_list(now)}"

    def _same_kind(self, place: str, old: Json, new: Json) -> Iterator[str]:
        if self.direction is Direction.REQUEST:
            yield from _narrowed(place, old, new)
        yield from self._fields(place, old, new)

        if "items" in old:
            yield from self.changes(f"{place}[]", old["items"], new.get("items", {}))

        before, now = old.get("additionalProperties"), new.get("additionalProperties")
        if isinstance(before, dict):
            yield from self.changes(f"{place}.*", before, now if isinstance(now, dict) else {})

    def _fields(self, place: str, old: Json, new: Json) -> Iterator[str]:
        before, now = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name not in now:
                yield f"{place}: the field {name} was removed"
            else:
                yield from self.changes(f"{place}.{name}", schema, now[name])

        required, still = set(old.get("required", [])), set(new.get("required", []))
        if self.direction is Direction.REQUEST:
            yield from (f"{place}: the field {it} is now required" for it in still - required)
        else:
            lost = (required - still) & set(now)
            yield from (f"{place}: the field {it} may now be missing" for it in lost)


def _variants(schema: Json, document: Json) -> dict[str, Json]:
    """Return the schemas of which a value must match one, by type.

    Several objects are told apart by their titles.
    """
    resolved = _resolve(schema, document)
    for keyword in ("anyOf", "oneOf"):
        if keyword in resolved:
            found: dict[str, Json] = {}
            for it in resolved[keyword]:
                found |= _variants(it, document)
            return found

    types = resolved.get("type", _type_of(resolved))
    kinds = types if isinstance(types, list) else [types]
    return {_kind(kind, resolved): resolved for kind in kinds}


def _kind(kind: str, schema: Json) -> str:
    return f"object {schema['title']}" if kind == "object" and "title" in schema else kind


def _type_of(schema: Json) -> str:
    """Return the type of a schema that does not name it."""
    if "const" in schema or "enum" in schema:
        return "string"
    return "object" if "properties" in schema else ANY


def _resolve(schema: Json, document: Json) -> Json:
    if "$ref" not in schema:
        return schema

    found: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return _resolve(found, document)


def _is_accepted(kind: str, known: dict[str, Json]) -> bool:
    if kind in known or ANY in known:
        return True
    if kind.startswith("object "):  # of any title where the other schema names none
        return "object" in known
    return kind == "integer" and "number" in known


def _narrowed(place: str, old: Json, new: Json) -> Iterator[str]:
    """Yield why a value that was accepted is now refused."""
    before, now = _values(old), _values(new)
    if now is not None and (before is None or not before <= now):
        yield f"{place}: the allowed values were narrowed to {_list(now)}"

    yield from _bounds(place, old, new, LOWER_BOUNDS, lambda limit, known: limit > known)
    yield from _bounds(place, old, new, UPPER_BOUNDS, lambda limit, known: limit < known)

    for rule in _RULES:
        if rule in new and new[rule] != old.get(rule):
            yield f"{place}: {rule} changed to {new[rule]!r}"

    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{place}: unknown fields are now refused"


def _bounds(
    place: str,
    old: Json,
    new: Json,
    names: tuple[str, ...],
    is_narrower: Callable[[float, float], bool],
) -> Iterator[str]:
    for name in names:
        limit, known = new.get(name), old.get(name)
        if limit is not None and (known is None or is_narrower(limit, known)):
            yield f"{place}: {name} was narrowed to {limit}"


def _values(schema: Json) -> set[Any] | None:
    """Return the values of an enum or a constant; None if all are allowed."""
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def _list(names: Any) -> str:
    return ", ".join(sorted(map(str, names)))
