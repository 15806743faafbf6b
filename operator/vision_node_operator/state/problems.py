"""Find out what keeps a worker from serving, and report it with the message from Kubernetes."""

from dataclasses import dataclass

from vision_node_contract.json_types import Json
from vision_node_contract.models.reasons import ReadyReason

from .termination import SIGNAL_EXIT_BASE

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
"""Reasons that kubelet gives for a container that waits because its image can't be pulled."""

CONFIG_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
)
"""Reasons that kubelet gives for a container that waits until a person fixes its configuration."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why workers don't serve or all images fail, as shown in a condition."""

    reason: ReadyReason
    message: str


def pod_problem(status: Json) -> Problem | None:
    """Return the problem that keeps a pod with this status from running, or that ended the pod.

    Return None if there is no problem.
    """
    for condition in status.get("conditions", []):
        if condition.get("reason") == "Unschedulable":
            return Problem(ReadyReason.INSUFFICIENT_RESOURCES, condition.get("message", ""))

    for container in status.get("initContainerStatuses", []):
        # The only init container is the sidecar. Its end is not a problem, because it normally
        # ends after the worker.
        waiting = container.get("state", {}).get("waiting", {})
        if problem := _container_problem({"waiting": waiting}):
            return problem

    for container in status.get("containerStatuses", []):
        if problem := _container_problem(container.get("state", {})):
            return problem

    return None


def _container_problem(state: Json) -> Problem | None:
    waiting, terminated = state.get("waiting", {}), state.get("terminated", {})
    reason = waiting.get("reason")
    message = f"{reason}: {waiting.get('message', '')}"
    if reason in PULL_REASONS:
        return Problem(ReadyReason.IMAGE_PULL_FAILED, message)
    if reason in CONFIG_REASONS:
        return Problem(ReadyReason.LAUNCH_FAILED, message)

    code = terminated.get("exitCode")
    if not code:
        return None

    # If a signal ended the worker, the message only lists the ImageJobs that the worker was
    # describing (see Termination), and explains nothing.
    explained = code <= SIGNAL_EXIT_BASE and terminated.get("message")
    why = explained or terminated.get("reason") or ""
    return Problem(ReadyReason.LAUNCH_FAILED, f"a worker ended with exit code {code}: {why}")


def refusal_problem(message: str) -> Problem:
    """Return the problem that made the API server refuse to create a worker's Job."""
    if "exceeded quota" in message:
        return Problem(ReadyReason.INSUFFICIENT_RESOURCES, message)

    return Problem(ReadyReason.LAUNCH_FAILED, message)
