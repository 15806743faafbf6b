"""What an image's end says of its describer's provider: a wrong key fails all images, not this one."""

from dataclasses import dataclass

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import ReadyReason

from .problems import Trouble


@dataclass(frozen=True, slots=True)
class Verdict:
    """On a describer, as of the last image that ended."""

    trouble: Trouble | None
    """What a person has to mend; None: all is well."""


def verdict(job: ImageJob) -> Verdict | None:
    """Return what a finished ImageJob says; None if that concerns its image alone."""
    status = job.status
    if status.phase == "failed":
        found = ReadyReason.by_provider(status.error.reason if status.error else "")
        message = status.error.message if status.error else ""
        return Verdict(Trouble(found, message)) if found else None

    stood_in = status.result.fallback if status.result else None
    if stood_in is None:
        return Verdict(None)

    found = ReadyReason.by_provider(stood_in.reason)
    name = status.result.describer if status.result else ""
    return (
        Verdict(Trouble(found, f"{name} stands in for images until that is mended"))
        if found
        else None
    )
