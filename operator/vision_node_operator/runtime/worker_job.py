"""The describer Job: a batch/v1 Job that runs one worker."""

import copy
from typing import Any

from vision_node_contract.names import COMPONENT_LABEL, DESCRIBER_LABEL, WORKER_COMPONENT

from ..state.pools.pool import Pool
from ..state.worker_objects import TEMPLATE_LABEL


def manifest(name: str, pool: Pool, owner: dict[str, Any]) -> dict[str, Any]:
    """Return the Job to create; `owner` is an ownerReference, so the Job is deleted with it."""
    labels = {**_labels(pool), TEMPLATE_LABEL: pool.template_hash}
    template = copy.deepcopy(pool.pod_template)
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**meta.get("labels", {}), **labels}
    # The worker runs once: the operator requeues its ImageJobs, so the Job must not restart it.
    template["spec"]["restartPolicy"] = "Never"

    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 0, "template": template},
    }


def is_of(job: dict[str, Any], pool: Pool) -> bool:
    """Return whether a Job is one of the pool's workers, from any pod template."""
    labels: dict[str, str] = job["metadata"].get("labels", {})
    return labels.items() >= _labels(pool).items()


def _labels(pool: Pool) -> dict[str, str]:
    return {COMPONENT_LABEL: WORKER_COMPONENT, DESCRIBER_LABEL: pool.describer}
