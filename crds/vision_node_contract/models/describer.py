"""Typed models of a Describer. Their source of truth is describers.vision-node.dev.yaml."""

from typing import Any, Literal

from .imagejob import Condition, KubeModel, ObjectMeta

READY = "Ready"
"""Type of the condition that is true if images can be described."""

FALLBACK_READY = "FallbackReady"
"""Type of the condition that is true if the fallback is available."""

DEPRECATED = "Deprecated"
"""Type of the condition that is true if the provider has announced the model's retirement."""

DEFAULT_RESOURCES: dict[str, dict[str, str]] = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"memory": "1Gi"},
}
"""Default resources of a worker or a sidecar. The CRD has the same defaults."""


class KeyRef(KubeModel):
    """One key of a Secret or ConfigMap."""

    name: str
    key: str
    optional: bool | None = None


class EnvSource(KubeModel):
    """Source of a variable's value. Exactly one of the fields is set."""

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class EnvVar(KubeModel):
    """A variable of the workers' environment."""

    name: str
    value: str | None = None
    value_from: EnvSource | None = None


class SourceRef(KubeModel):
    """A Secret or ConfigMap."""

    name: str
    optional: bool | None = None


class EnvFrom(KubeModel):
    """A Secret or ConfigMap whose keys all become variables. Exactly one of the fields is set."""

    secret_ref: SourceRef | None = None
    config_map_ref: SourceRef | None = None


class Resources(KubeModel):
    """Resource requests and limits, as in a container's spec."""

    requests: dict[str, str | int] = {}
    limits: dict[str, str | int] = {}


class Toleration(KubeModel):
    """A toleration of a taint, as in a pod's spec."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


class Sidecar(KubeModel):
    """A container that runs in the same pod as each worker and describes the images."""

    image: str
    command: list[str] = []
    args: list[str] = []
    port: int = 9000
    env: list[EnvVar] = []
    resources: Resources = Resources.model_validate(DEFAULT_RESOURCES)


class DescriberSpec(KubeModel):
    """Configuration of the workers, including how many may run. Times are in seconds."""

    provider: str | None = None
    model: str | None = None
    options: dict[str, Any] = {}
    image: str | None = None
    command: list[str] = []
    env: list[EnvVar] = []
    env_from: list[EnvFrom] = []
    resources: Resources = Resources.model_validate(DEFAULT_RESOURCES)
    pod_annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    affinity: dict[str, Any] = {}
    min_workers: int = 0
    max_workers: int = 2
    concurrency: int = 4
    idle_seconds: float = 60
    max_images_per_worker: int = 0
    isolation: Literal["shared", "dedicated"] = "shared"
    timeout_seconds: int = 60
    max_attempts: int = 3
    requests_per_minute: int = 0
    fallback: str | None = None
    sidecar: Sidecar | None = None

    @property
    def images_at_once(self) -> int:
        """Maximum number of ImageJobs that one worker processes at the same time."""
        return 1 if self.isolation == "dedicated" else self.concurrency

    @property
    def images_per_worker(self) -> int:
        """Number of ImageJobs after which a worker is replaced; 0 means no limit."""
        return 1 if self.isolation == "dedicated" else self.max_images_per_worker


class DescriberStatus(KubeModel):
    """The state of a Describer."""

    provider: str | None = None
    workers: int = 0
    ready: int = 0
    queued: int = 0
    processing: int = 0
    conditions: list[Condition] = []

    @property
    def readiness(self) -> Condition | None:
        """The Ready condition; None until it is written for the first time."""
        return self.condition(READY)

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of this type, or None if there is no such condition."""
        return next((c for c in self.conditions if c.type == kind), None)


class Describer(KubeModel):
    """A configuration of workers that describe images, and its state."""

    metadata: ObjectMeta
    spec: DescriberSpec = DescriberSpec()
    status: DescriberStatus = DescriberStatus()

    @property
    def provider(self) -> str:
        """Name of the implementation that the workers run."""
        return self.spec.provider or self.metadata.name
