"""Infer problems with a describer's provider, such as a wrong API key, from finished images."""

from dataclasses import dataclass

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import ReadyReason

from .problems import Problem


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """The state of a describer's provider, inferred from the last finished image."""

    problem: Problem | None
    """The problem that a person has to fix; None if the provider works."""


def provider_health(job: ImageJob) -> ProviderHealth | None:
    """Infer the provider's state from a finished ImageJob.

    Return None if the ImageJob shows nothing about the provider.
    """
    error, result = job.status.error, job.status.result
    if job.status.phase == "failed":
        reason = ReadyReason.by_provider(error.reason if error else "")
        return ProviderHealth(Problem(reason, error.message)) if reason and error else None
    if result is None or result.fallback is None:
        return ProviderHealth(None)

    reason = ReadyReason.by_provider(result.fallback.reason)
    if reason is None:
        return None

    message = f"{result.describer} describes the images until this is fixed"
    return ProviderHealth(Problem(reason, message))
