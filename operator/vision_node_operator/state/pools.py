"""Pools of workers: what a Describer and the chart's pod template make together."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Describer, DescriberSpec, DescriberStatus

from . import sidecar
from .fallback import hindrance


@dataclass(frozen=True, slots=True)
class Pool:
    """The workers of one Describer."""

    resource: Describer
    pod_template: Json
    template_hash: str
    """A label value that changes with the pod template: workers of an older one are replaced."""
    hindrance: str | None = None
    """Why its fallback can't stand in."""

    @classmethod
    def made(cls, resource: Describer, base: Json, others: Mapping[str, Describer]) -> Self:
        """Return the pool of a Describer, among the others that there are: its fallback is one of them."""
        why = hindrance(resource, others)
        fallback = None if why else others.get(resource.spec.fallback or "")
        template = merged(base, resource, fallback)
        text = json.dumps(template, sort_keys=True)
        return cls(resource, template, hashlib.sha256(text.encode()).hexdigest()[:16], why)

    @property
    def describer(self) -> str:
        """The Describer's name."""
        return self.resource.metadata.name

    @property
    def spec(self) -> DescriberSpec:
        """What is wanted."""
        return self.resource.spec

    @property
    def status(self) -> DescriberStatus:
        """What was last said of it."""
        return self.resource.status


def merged(base: Json, describer: Describer, fallback: Describer | None = None) -> Json:
    """Return the pod template of the Describer's workers; `fallback` stands in for it there."""
    spec = describer.spec
    template = copy.deepcopy(base)
    meta, pod = template.setdefault("metadata", {}), template["spec"]
    if spec.pod_annotations:
        meta["annotations"] = {**meta.get("annotations", {}), **spec.pod_annotations}

    wanted = spec.to_json()
    for field in ("nodeSelector", "tolerations", "affinity"):
        if wanted[field]:
            pod[field] = wanted[field]

    container = pod["containers"][0]
    for field in ("image", "command"):
        if wanted.get(field):
            container[field] = wanted[field]

    container["resources"] = wanted["resources"]
    variables = [*container.get("env", []), *wanted["env"], *_told(describer), *_told_of(fallback)]
    container["env"] = list({variable["name"]: variable for variable in variables}.values())
    sources = [*container.get("envFrom", []), *wanted["envFrom"]]
    if sources:
        container["envFrom"] = sources

    if spec.sidecar:
        sidecar.add(pod, spec.sidecar)

    return template


def _told(describer: Describer) -> list[Json]:
    """Return the variables that say who and what a worker is."""
    spec = describer.spec
    beside = {"url": sidecar.url_of(spec.sidecar)} if spec.sidecar else {}
    told = {
        "DESCRIBER": describer.metadata.name,
        "PROVIDER": describer.provider,
        "MODEL": spec.model or "",
        "DESCRIBER_OPTIONS": json.dumps({**beside, **spec.options}, sort_keys=True),
        "CONCURRENCY": str(spec.images_at_once),
        "MAX_IMAGES": str(spec.images_per_worker),
        "MAX_ATTEMPTS": str(spec.max_attempts),
        "TIMEOUT_SECONDS": str(spec.timeout_seconds),
    }

    return _variables(told)


def _told_of(fallback: Describer | None) -> list[Json]:
    """Return the variables that say who stands in."""
    if fallback is None:
        return []

    told = {
        "FALLBACK": fallback.metadata.name,
        "FALLBACK_PROVIDER": fallback.provider,
        "FALLBACK_MODEL": fallback.spec.model or "",
        "FALLBACK_OPTIONS": json.dumps(fallback.spec.options, sort_keys=True),
    }

    return _variables(told)


def _variables(told: dict[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in told.items()]
