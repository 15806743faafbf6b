"""Find the environment variables that a pod's container would have."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.client import Client
from cluster.errors import ClusterError
from cluster.release import NAMESPACE
from cluster.run import shell

Json = dict[str, Any]


@dataclass(frozen=True)
class PodEnvironment:
    """Finds the variables of containers, whose values may be in Secrets and ConfigMaps."""

    client: Client
    fields: Mapping[str, str]
    """The values of the pod's fields that a `fieldRef` can name, such as metadata.name."""

    def resolve(self, container: Json) -> dict[str, str]:
        """Return the container's variables.

        Variables with the container's resource limits are left out, because a local process has no
        limits. Raises ClusterError if a Secret, a ConfigMap or a key is missing.
        """
        found: dict[str, str] = {}

        for source in container.get("envFrom", []):
            found |= self._all_of(source)

        for variable in container.get("env", []):
            value = self._value(variable)
            if value is not None:
                found[variable["name"]] = value

        return found

    def _all_of(self, source: Json) -> dict[str, str]:
        """Return the variables from an item of `envFrom`."""
        kind = "secret" if "secretRef" in source else "configmap"
        reference = source["secretRef" if kind == "secret" else "configMapRef"]
        content = self._content(kind, reference)
        return {f"{source.get('prefix', '')}{key}": value for key, value in content.items()}

    def _value(self, variable: Json) -> str | None:
        """Return the value of an item of `env`; None if the variable is to be left out."""
        match variable.get("valueFrom"):
            case None:
                return str(variable.get("value", ""))
            case {"fieldRef": {"fieldPath": path}}:
                return self.fields.get(path)
            case {"secretKeyRef": reference}:
                return self._key("secret", reference)
            case {"configMapKeyRef": reference}:
                return self._key("configmap", reference)
        return None

    def _key(self, kind: str, reference: Json) -> str | None:
        content = self._content(kind, reference)
        value = content.get(reference["key"])
        if value is None and not reference.get("optional"):
            raise ClusterError(
                f"{kind} {reference['name']} does not have the key {reference['key']}"
            )
        return value

    def _content(self, kind: str, reference: Json) -> dict[str, str]:
        """Return the content of a Secret or ConfigMap; empty if it is optional and missing."""
        try:
            found = get(self.client, kind, reference["name"])
        except ClusterError:
            if reference.get("optional"):
                return {}
            raise

        data: dict[str, str] = found.get("data") or {}
        if kind == "configmap":
            return data
        return {key: b64decode(value).decode() for key, value in data.items()}


def get(client: Client, kind: str, name: str) -> Json:
    """Return an object in the release's namespace. Raises ClusterError if it does not exist."""
    return parse(client.kubectl_output("-n", NAMESPACE, "get", kind, name, "-o", "json"))


def find(client: Client, kind: str, *options: shell.Argument) -> Sequence[Json]:
    """Return the objects of a kind in the release's namespace, filtered by kubectl's options."""
    found = client.kubectl_output("-n", NAMESPACE, "get", kind, *options, "-o", "json")
    items: list[Json] = parse(found)["items"]
    return items


def parse(text: str) -> Json:
    """Parse JSON that kubectl printed."""
    found: Json = json.loads(text)
    return found
