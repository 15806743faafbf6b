"""Determine how to apply the Describers in the chart's values.

Helm can't install Describers in the same release as their CRD. So the chart renders them into a
ConfigMap, and the operator applies them when it starts. They have a label that lets the
operator recognize and delete Describers that were removed from the values.
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
"""Label of Describers that come from the chart's values. Its value is the release's name prefix."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The chart's Describers, and the pod template and owner that workers have in common."""

    pod_template: Json
    """Pod template of all workers. Each Describer adds its own settings to it."""
    specs: dict[str, Json]
    """Describer specs by name."""
    owner: Json
    """ownerReference to the ConfigMap, so that Describers and Jobs are deleted with the release."""

    @classmethod
    def of(cls, configmap: Json) -> Self:
        """Read the ConfigMap that charts/vision-node/templates/_describers.tpl renders."""
        meta, data = configmap["metadata"], configmap["data"]
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
        return cls(json.loads(data["worker-pod.json"]), json.loads(data["describers.json"]), owner)


@dataclass(frozen=True, slots=True)
class Changes:
    """The writes that make the Describers match the values."""

    apply: list[Json] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)


def changes(defaults: Defaults, release: str, existing: Iterable[Json]) -> Changes:
    """Return the changes that make the existing Describers match the values.

    Describers that do not belong to this release are left alone.
    """
    labels = {body["metadata"]["name"]: body["metadata"].get("labels", {}) for body in existing}
    ours = {name for name, found in labels.items() if found.get(RELEASE_LABEL) == release}
    wanted = Changes(delete=sorted(ours - defaults.specs.keys()))

    for name, spec in defaults.specs.items():
        if name in labels and name not in ours:
            log.warning("skipping Describer %s in the values: another one has this name", name)
        else:
            wanted.apply.append(_manifest(name, spec, release, defaults.owner))

    return wanted


def _manifest(name: str, spec: Json, release: str, owner: Json) -> Json:
    meta = {"name": name, "labels": {RELEASE_LABEL: release}, "ownerReferences": [owner]}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Describer", "metadata": meta, "spec": spec}
