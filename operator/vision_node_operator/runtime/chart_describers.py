"""The Describers that the chart's values name: a release can't hold them beside their own CRD.

The chart renders them into a ConfigMap, and the operator applies them when it starts. They carry a
label, so that those that left the values can be told from those that somebody has made.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from vision_node_contract.json_types import Json
from vision_node_contract.names import GROUP, VERSION

log = logging.getLogger(__name__)

RELEASE_LABEL = f"{GROUP}/release"
"""On Describers that the values name: the release's prefix of names."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the chart says of Describers."""

    pod_template: Json
    """Of all workers, before a Describer adds its own."""
    specs: dict[str, Json]
    """Describer → spec."""
    owner: Json
    """ownerReference to the ConfigMap: Describers and Jobs go with the release."""

    @classmethod
    def of(cls, configmap: Json) -> Self:
        """Read the ConfigMap, as charts/vision-node/templates/_describers.tpl renders it."""
        meta, data = configmap["metadata"], configmap["data"]
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
        return cls(json.loads(data["worker-pod.json"]), json.loads(data["describers.json"]), owner)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written, so that the Describers are those that the values name."""

    apply: list[Json] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)


def changes(defaults: Defaults, release: str, existing: Iterable[Json]) -> Changes:
    """Compare with the Describers that there are; one that somebody has made is left alone."""
    labels = {body["metadata"]["name"]: body["metadata"].get("labels", {}) for body in existing}
    ours = {name for name, found in labels.items() if found.get(RELEASE_LABEL) == release}
    wanted = Changes(delete=sorted(ours - defaults.specs.keys()))

    for name, spec in defaults.specs.items():
        if name in labels and name not in ours:
            log.warning(
                "Describer %s was not made by this release: the values' one is left out", name
            )
        else:
            wanted.apply.append(_manifest(name, spec, release, defaults.owner))

    return wanted


def _manifest(name: str, spec: Json, release: str, owner: Json) -> Json:
    meta = {"name": name, "labels": {RELEASE_LABEL: release}, "ownerReferences": [owner]}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Describer", "metadata": meta, "spec": spec}
