"""What keeps a worker from coming to serve, in Kubernetes' own words."""

from dataclasses import dataclass

from vision_node_contract.json_types import Json
from vision_node_contract.models.reasons import ReadyReason

PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
CONFIG = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
)
"""kubelet's words for containers that wait for somebody to mend something."""

KILLED = 128
"""Exit codes above this are the number of a signal, plus this."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a worker does not come to serve."""

    reason: ReadyReason
    message: str


def trouble_of(status: Json) -> Trouble | None:
    """Return what keeps a pod with this status from running, or what ended it; None if nothing does."""
    for condition in status.get("conditions", []):
        if condition.get("reason") == "Unschedulable":
            return Trouble(ReadyReason.INSUFFICIENT_RESOURCES, condition.get("message", ""))

    for container in status.get("initContainerStatuses", []):
        # A sidecar: that it ends after the worker is no trouble.
        if found := _of_container({"waiting": container.get("state", {}).get("waiting", {})}):
            return found

    for container in status.get("containerStatuses", []):
        if found := _of_container(container.get("state", {})):
            return found

    return None


def _of_container(state: Json) -> Trouble | None:
    waiting, ended = state.get("waiting", {}), state.get("terminated", {})
    word, message = waiting.get("reason"), waiting.get("message", "")
    if word in PULL | CONFIG:
        reason = ReadyReason.IMAGE_PULL_FAILED if word in PULL else ReadyReason.LAUNCH_FAILED
        return Trouble(reason, f"{word}: {message}")
    if code := ended.get("exitCode"):
        # The message of one that was killed is what it was describing (see ending.Ending).
        said = (code <= KILLED and ended.get("message")) or ended.get("reason") or ""
        return Trouble(ReadyReason.LAUNCH_FAILED, f"a worker ended with exit code {code}: {said}")

    return None


def of_refusal(message: str) -> Trouble:
    """Return what the API server's refusal of a Job means."""
    no_room = "exceeded quota" in message
    return Trouble(
        ReadyReason.INSUFFICIENT_RESOURCES if no_room else ReadyReason.LAUNCH_FAILED, message
    )
