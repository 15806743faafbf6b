"""Determine how a worker's container terminated, based on the pod's status from kubelet."""

from dataclasses import dataclass
from typing import Self

from vision_node_contract.json_types import Json

SIGNAL_EXIT_BASE = 128
"""An exit code above this number means that a signal ended the container. The difference is the
number of the signal."""

CRASH_EXIT_CODES = frozenset(SIGNAL_EXIT_BASE + signal for signal in (4, 6, 7, 8, 11))
"""Exit codes of SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV. They mean that the program crashed."""

SIGKILL_EXIT_CODE = SIGNAL_EXIT_BASE + 9
"""Exit code of SIGKILL. The kernel sends this signal when memory runs out, but containerd may
fail to report OOMKilled. Programs outside the container may also send it."""


@dataclass(frozen=True, slots=True)
class Termination:
    """The termination of a worker's only container."""

    reason: str
    exit_code: int
    in_progress: frozenset[str]
    """UIDs of the ImageJobs that the worker was describing. They come from its termination message,
    which is untrusted."""

    @classmethod
    def of(cls, pod: Json) -> Self | None:
        """Read a v1 Pod; return None if kubelet has not reported that its container terminated."""
        for container in pod.get("status", {}).get("containerStatuses", []):
            if terminated := container.get("state", {}).get("terminated"):
                uids = frozenset(terminated.get("message", "").split())
                return cls(terminated.get("reason", ""), terminated.get("exitCode", 0), uids)

        return None

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed the container at its memory limit."""
        return self.reason == "OOMKilled"

    @property
    def crashed(self) -> bool:
        """Whether the worker itself caused the termination, rather than something outside it."""
        return self.out_of_memory or self.exit_code in CRASH_EXIT_CODES

    @property
    def killed(self) -> bool:
        """Whether the worker crashed or was killed instead of exiting on its own."""
        return self.crashed or self.exit_code == SIGKILL_EXIT_CODE

    def is_suspect(self, uid: str) -> bool:
        """Return whether the ImageJob with this UID may have caused the termination.

        If the worker crashed without a termination message, all of its ImageJobs are suspects.
        """
        if self.crashed and not self.in_progress:
            return True

        return uid in self.in_progress and self.killed
