"""How a worker's container ended, as kubelet tells in the pod's status: what a lost worker died of."""

from dataclasses import dataclass
from typing import Self

from vision_node_contract.json_types import Json

CRASHES = frozenset(128 + signal for signal in (4, 6, 7, 8, 11))
"""Exit codes of SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV: the program itself broke."""

KILLED = 128 + 9
"""SIGKILL: the kernel's, short of memory, though containerd may miss that; or somebody's."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a worker's one container."""

    reason: str
    exit_code: int
    describing: frozenset[str]
    """UIDs of ImageJobs that it was describing, by its own word: its termination message,
    untrusted."""

    @classmethod
    def of(cls, pod: Json) -> Self | None:
        """Read a v1 Pod; None while its container runs, or if kubelet never told of its end."""
        for container in pod.get("status", {}).get("containerStatuses", []):
            if ended := container.get("state", {}).get("terminated"):
                uids = frozenset(ended.get("message", "").split())
                return cls(ended.get("reason", ""), ended.get("exitCode", 0), uids)
        return None

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed it at its memory limit."""
        return self.reason == "OOMKilled"

    @property
    def broke(self) -> bool:
        """Whether what it did ended it, and nobody outside."""
        return self.out_of_memory or self.exit_code in CRASHES

    @property
    def killed(self) -> bool:
        """Whether it did not end of itself: an image did it, or somebody."""
        return self.broke or self.exit_code == KILLED

    def suspects(self, uid: str) -> bool:
        """Whether the ImageJob with this UID, which the worker held, may have ended it.

        A worker that broke without a word makes suspects of all that it held.
        """
        if self.broke and not self.describing:
            return True
        return uid in self.describing and self.killed
