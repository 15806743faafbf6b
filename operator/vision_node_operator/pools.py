"""Pools of workers: what a Describer and the chart's pod template make together."""

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from vision_node_contract.describer import Describer, DescriberSpec, DescriberStatus

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pool:
    """The workers of one Describer."""

    resource: Describer
    pod_template: Json
    template_hash: str
    """A label value that changes with the pod template: workers of an older one are replaced."""

    @classmethod
    def of(cls, body: Json, base: Json) -> Self:
        """Read a Describer; `base` is the pod template that the chart has for all of them.

        Raises:
            ValueError: it is none that we know how to read.
        """
        resource = Describer.model_validate(body)
        template = merged(base, resource)
        text = json.dumps(template, sort_keys=True)
        return cls(resource, template, hashlib.sha256(text.encode()).hexdigest()[:16])

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


def merged(base: Json, describer: Describer) -> Json:
    """Return the pod template of the Describer's workers."""
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
    variables = [*container.get("env", []), *wanted["env"], *_told(describer)]
    container["env"] = list({variable["name"]: variable for variable in variables}.values())
    sources = [*container.get("envFrom", []), *wanted["envFrom"]]
    if sources:
        container["envFrom"] = sources
    return template


def _told(describer: Describer) -> list[Json]:
    """Return the variables that say who and what a worker is."""
    spec = describer.spec
    told = {
        "DESCRIBER": describer.metadata.name,
        "PROVIDER": describer.provider,
        "MODEL": spec.model or "",
        "DESCRIBER_OPTIONS": json.dumps(spec.options, sort_keys=True),
        "CONCURRENCY": str(spec.images_at_once),
        "MAX_IMAGES": str(spec.images_per_worker),
        "MAX_ATTEMPTS": str(spec.max_attempts),
        "TIMEOUT_SECONDS": str(spec.timeout_seconds),
    }
    return [{"name": name, "value": value} for name, value in told.items()]
