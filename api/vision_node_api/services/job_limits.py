"""Refuse submissions while the namespace can't take more ImageJobs."""

from vision_node_contract.clients.kube import ConflictError, KubeError, QuotaError

from ..settings import Settings
from ..watch.imagejob_cache import ImageJobCache
from ..web.problems import Problem
from .dependency_problems import kubernetes_unavailable

RETRY_AFTER_SECONDS = "10"
"""Retry-After, in seconds, while there are too many jobs. Jobs end, and finished jobs are deleted,
all the time, so a place may be free soon."""


def require_capacity(cache: ImageJobCache, settings: Settings) -> None:
    """Refuse a submission if the namespace has too many ImageJobs.

    Raises:
        Problem: 429 TooManyJobs if too many are unfinished; 429 TooManyImageJobs if there are too
            many, finished ones included.
    """
    limit = settings.max_unfinished_jobs
    if cache.unfinished >= limit:
        detail = f"The limit of {limit} unfinished jobs has been reached. Try again later."
        raise _too_many("TooManyJobs", detail)

    limit = settings.max_imagejobs
    if cache.total >= limit:
        detail = (
            f"The limit of {limit} jobs in Kubernetes, finished ones included, has been reached. "
            "Finished jobs make room once they are archived; without a database, the oldest ones "
            "are deleted 15 minutes after their end. Try again later. If this lasts, an "
            "administrator should check that the archiver runs and reaches the database."
        )
        raise _too_many("TooManyImageJobs", detail)


def refused_by_kubernetes(error: KubeError) -> Problem:
    """Return the problem for an ImageJob that the API server did not create."""
    match error:
        case QuotaError():
            detail = (
                f"A quota allows no more ImageJobs: {error.message.rstrip('.')}. Try again later; "
                "an administrator can delete finished jobs or raise the quota."
            )
            return _too_many("QuotaExceeded", detail)
        case ConflictError():
            # Too many concurrent requests changed the status of a ResourceQuota.
            return kubernetes_unavailable()
        case _:
            detail = f"Kubernetes refused the ImageJob: {error.message.rstrip('.')}."
            return Problem(422, "JobRefused", detail)


def _too_many(reason: str, detail: str) -> Problem:
    return Problem(429, reason, detail, headers={"Retry-After": RETRY_AFTER_SECONDS})
