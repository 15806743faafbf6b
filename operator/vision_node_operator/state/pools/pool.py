"""Build pools of workers: combine a Describer with the chart's pod template."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Describer, DescriberSpec, DescriberStatus

from . import sidecar
from .fallback import fallback_problem


@dataclass(frozen=True, slots=True)
class Pool:
    """The workers of one Describer."""

    resource: Describer
    pod_template: Json
    template_hash: str
    """Hash of the pod template, used as a label value. Workers with another hash are replaced."""
    fallback_problem: str | None = None
    """Why the Describer's fallback can't be used; None if it can, or if there is none."""

    @classmethod
    def build(cls, resource: Describer, base: Json, others: Mapping[str, Describer]) -> Self:
        """Build the pool of a Describer.

        Args:
            resource: The Describer.
            base: The chart's pod template.
            others: Other Describers by name. The fallback is one of them if it exists.
        """
        problem = fallback_problem(resource, others)
        fallback = None if problem else others.get(resource.spec.fallback or "")
        template = worker_template(base, resource, fallback)
        text = json.dumps(template, sort_keys=True)

        return cls(resource, template, hashlib.sha256(text.encode()).hexdigest()[:16], problem)

    @property
    def describer(self) -> str:
        """The Describer's name."""
        return self.resource.metadata.name

    @property
    def spec(self) -> DescriberSpec:
        """The Describer's spec."""
        return self.resource.spec

    @property
    def status(self) -> DescriberStatus:
        """The Describer's status as last observed."""
        return self.resource.status


def worker_template(base: Json, describer: Describer, fallback: Describer | None = None) -> Json:
    """Return the pod template of the Describer's workers. They can also run `fallback`."""
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
    own_env = [*_describer_env(describer), *_fallback_env(fallback)]
    env = [*container.get("env", []), *wanted["env"], *own_env]
    container["env"] = list({variable["name"]: variable for variable in env}.values())

    sources = [*container.get("envFrom", []), *wanted["envFrom"]]
    if sources:
        container["envFrom"] = sources

    if spec.sidecar:
        sidecar.add(pod, spec.sidecar)

    return template


def _describer_env(describer: Describer) -> list[Json]:
    """Return the environment variables that configure a worker for the describer."""
    spec = describer.spec
    defaults = {"url": sidecar.url_of(spec.sidecar)} if spec.sidecar else {}

    return _env(
        {
            "DESCRIBER": describer.metadata.name,
            "PROVIDER": describer.provider,
            "MODEL": spec.model or "",
            "DESCRIBER_OPTIONS": json.dumps({**defaults, **spec.options}, sort_keys=True),
            "CONCURRENCY": str(spec.images_at_once),
            "MAX_IMAGES": str(spec.images_per_worker),
            "MAX_ATTEMPTS": str(spec.max_attempts),
            "TIMEOUT_SECONDS": str(spec.timeout_seconds),
        }
    )


def _fallback_env(fallback: Describer | None) -> list[Json]:
    """Return the environment variables that configure a worker's fallback, if it has one."""
    if fallback is None:
        return []

    return _env(
        {
            "FALLBACK": fallback.metadata.name,
            "FALLBACK_PROVIDER": fallback.provider,
            "FALLBACK_MODEL": fallback.spec.model or "",
            "FALLBACK_OPTIONS": json.dumps(fallback.spec.options, sort_keys=True),
        }
    )


def _env(variables: dict[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in variables.items()]
