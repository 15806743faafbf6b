"""Build and recognize describer Jobs: batch/v1 Jobs that run one worker each."""

import copy
from typing import Any

from vision_node_contract.names import COMPONENT_LABEL, DESCRIBER_LABEL, WORKER_COMPONENT

from ..state.pools.pool import Pool
from ..state.worker_objects import TEMPLATE_LABEL


def manifest(name: str, pool: Pool, owner: dict[str, Any]) -> dict[str, Any]:
    """Return the Job to create. `owner` is an ownerReference; the Job is deleted with its owner."""
    labels = {**_labels(pool), TEMPLATE_LABEL: pool.template_hash}
    template = copy.deepcopy(pool.pod_template)
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**meta.get("labels", {}), **labels}
    # The Job must not restart the worker, because the operator requeues the worker's ImageJobs.
    template["spec"]["restartPolicy"] = "Never"

    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 0, "template": template},
    }


def is_of(job: dict[str, Any], pool: Pool) -> bool:
    """Return whether a Job runs one of the pool's workers, regardless of its pod template."""
    labels: dict[str, str] = job["metadata"].get("labels", {})
    return labels.items() >= _labels(pool).items()


def _labels(pool: Pool) -> dict[str, str]:
    return {COMPONENT_LABEL: WORKER_COMPONENT, DESCRIBER_LABEL: pool.describer}
