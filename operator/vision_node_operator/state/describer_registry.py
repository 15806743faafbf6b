"""The registry of Describers: their pools, and the state of their providers and launches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Describer

from .describer_record import DescriberRecord
from .pools.pool import Pool


@dataclass
class DescriberRegistry:
    """All Describers of the namespace, and unknown describers that ImageJobs or workers name."""

    pod_template: Json = field(default_factory=dict)
    """The chart's pod template, which all workers have in common."""
    records: dict[str, DescriberRecord] = field(default_factory=dict)
    """Records by the name of the Describer, which may not exist."""

    def record(self, name: str) -> DescriberRecord:
        """Return the record of a describer; create it if there is none."""
        record = self.records.get(name)
        if record is None:
            record = self.records[name] = DescriberRecord()

        return record

    def find(self, name: str) -> DescriberRecord | None:
        """Return the record of a describer; None if there is none."""
        return self.records.get(name)

    def pool(self, name: str) -> Pool | None:
        """Return the pool of a Describer; None if the Describer does not exist."""
        record = self.records.get(name)
        return record.pool if record else None

    def pools(self) -> Iterator[Pool]:
        """Yield the pools of all Describers."""
        return (record.pool for record in self.records.values() if record.pool)

    def put(self, describer: Describer) -> None:
        """Record the current state of a Describer."""
        self._build_pool(describer)
        self._rebuild_dependents(describer.metadata.name)

    def drop(self, name: str, now: datetime) -> None:
        """Record that a Describer was deleted."""
        self.record(name).delete_pool(now)
        self._rebuild_dependents(name)

    def prune(self, now: datetime) -> None:
        """Forget describers without ImageJobs that were deleted a while ago or never existed."""
        expired = [name for name, record in self.records.items() if record.expire(now)]
        for name in expired:
            del self.records[name]

    def _build_pool(self, describer: Describer) -> None:
        others = {pool.describer: pool.resource for pool in self.pools()}
        pool = Pool.build(describer, self.pod_template, others)
        self.record(pool.describer).set_pool(pool)

    def _rebuild_dependents(self, fallback: str) -> None:
        """Rebuild the pools whose fallback was created, changed or deleted."""
        for pool in [*self.pools()]:
            if pool.spec.fallback == fallback:
                self._build_pool(pool.resource)
