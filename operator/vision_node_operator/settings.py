"""What the operator is told: its namespace, and a pool of workers for each describer."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Pool:
    """How the workers of one describer run and scale."""

    describer: str
    pod_template: dict[str, Any]
    min_workers: int = 0
    max_workers: int = 2
    concurrency: int = 4
    """ImageJobs that one worker holds at once."""
    idle_seconds: float = 60.0
    """A worker above min_workers that has held nothing for so long is retired."""

    @property
    def template_hash(self) -> str:
        """A label value that changes with the pod template: workers of an older one are replaced."""
        text = json.dumps([self.pod_template, self.concurrency], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def of(cls, describer: str, values: dict[str, Any]) -> Self:
        """Read a pool as the chart renders it."""
        return cls(
            describer=describer,
            pod_template=values["podTemplate"],
            min_workers=int(values["minWorkers"]),
            max_workers=int(values["maxWorkers"]),
            concurrency=int(values["concurrency"]),
            idle_seconds=float(values["idleSeconds"]),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the operator is told."""

    namespace: str
    pools: dict[str, Pool]
    owner_name: str
    """ConfigMap that holds the pools and owns the describer Jobs: they go with the release."""
    job_prefix: str

    @classmethod
    def from_env(cls) -> Self:
        """Read POD_NAMESPACE, POOLS_CONFIGMAP and JOB_PREFIX; the pools are yet to be read."""
        return cls(
            namespace=os.environ["POD_NAMESPACE"],
            pools={},
            owner_name=os.environ["POOLS_CONFIGMAP"],
            job_prefix=os.environ["JOB_PREFIX"],
        )

    def with_pools(self, configmap: dict[str, Any]) -> Self:
        """Return the settings with the pools that the ConfigMap holds (pools.json: describer → pool)."""
        pools = json.loads(configmap["data"]["pools.json"])
        return replace(self, pools={name: Pool.of(name, values) for name, values in pools.items()})
