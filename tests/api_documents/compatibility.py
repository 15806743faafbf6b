"""Find changes of an OpenAPI document that break clients of the old one.

Whatever is new and optional is compatible: paths, methods, parameters, fields, statuses and media
types. Clients have to ignore fields and tolerate values of enums that they don't know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .schema_changes import Direction, SchemaComparison

Json = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def breaking_changes(old: Json, new: Json) -> list[str]:
    """Return a message for each change that breaks clients of the old document."""
    comparison = _Comparison(old, new)
    return sorted(set(comparison.changes()))


@dataclass(frozen=True)
class _Comparison:
    old: Json
    new: Json

    def changes(self) -> Iterator[str]:
        for path, item in self.old["paths"].items():
            if path not in self.new["paths"]:
                yield f"{path}: the path was removed"
                continue

            for method in METHODS:
                if method in item:
                    name = f"{method.upper()} {path}"
                    yield from self._method(name, item[method], self.new["paths"][path].get(method))

    def _method(self, name: str, old: Json, new: Json | None) -> Iterator[str]:
        if new is None:
            yield f"{name}: the method was removed"
            return

        yield from self._parameters(name, old, new)
        yield from self._body(name, old.get("requestBody"), new.get("requestBody"))
        yield from self._responses(name, old["responses"], new["responses"])

    def _parameters(self, name: str, old: Json, new: Json) -> Iterator[str]:
        before, now = _parameters_of(old), _parameters_of(new)
        for key, parameter in now.items():
            known = before.get(key)
            if parameter.get("required") and not (known and known.get("required")):
                yield f"{name}: the {key} is now required"

        for key, known in before.items():
            if key not in now:
                yield f"{name}: the {key} was removed"
            else:
                place = f"{name}: the {key}"
                yield from self._schema(place, known, now[key], Direction.REQUEST)

    def _body(self, name: str, old: Json | None, new: Json | None) -> Iterator[str]:
        is_required = bool(new and new.get("required"))
        if is_required and not (old and old.get("required")):
            yield f"{name}: the body is now required"

        before, now = (old or {}).get("content", {}), (new or {}).get("content", {})
        yield from self._contents(f"{name}: the body", before, now, Direction.REQUEST)

    def _responses(self, name: str, old: Json, new: Json) -> Iterator[str]:
        for status, response in old.items():
            place = f"{name}: the response {status}"
            if status not in new:
                yield f"{place} was removed"
                continue

            found = new[status]
            for header in response.get("headers", {}):
                if header not in found.get("headers", {}):
                    yield f"{place}: the header {header} was removed"

            before, now = response.get("content", {}), found.get("content", {})
            yield from self._contents(place, before, now, Direction.RESPONSE)

    def _contents(self, place: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        for media_type, content in old.items():
            if media_type not in new:
                yield f"{place}: the media type {media_type} was removed"
            else:
                yield from self._schema(f"{place}", content, new[media_type], direction)

    def _schema(self, place: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        comparison = SchemaComparison(self.old, self.new, direction)
        yield from comparison.changes(place, old.get("schema", {}), new.get("schema", {}))


def _parameters_of(operation: Json) -> dict[str, Json]:
    """Return the parameters by place and name. Names of headers have no case."""
    return {
        f"{it['in']} parameter {it['name'].lower() if it['in'] == 'header' else it['name']}": it
        for it in operation.get("parameters", [])
    }
