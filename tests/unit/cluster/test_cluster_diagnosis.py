from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster import diagnosis
from cluster.client import Client
from cluster.diagnosis import LOG_LINES, MAX_POD_LOGS, PODS, Container, permanent_failure
from cluster.run import shell


@dataclass(frozen=True)
class Asked(Client):
    """A fake kubectl for a namespace with those pods (lines of the template PODS)."""

    pods: tuple[str, ...] = ()
    logs: list[str] = field(default_factory=list)

    def kubectl_output(self, *arguments: shell.Argument) -> str:
        words = [str(argument) for argument in arguments]
        if "logs" in words:
            self.logs.append(words[words.index("logs") + 1])
            return f"log of {self.logs[-1]}"
        if PODS in words:
            return "\n".join(self.pods)
        if "events" in words:
            return "\n".join(f"warning {number}" for number in range(1000))

        return "\n".join(["NAME", *self.pods])


def client(*pods: str) -> Asked:
    return Asked(Path("kubectl"), Path("helm"), None, pods)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("api-1 Running True", ""),
        ("api-1 Running False", "api-1"),
        ("api-1 Pending", "api-1"),
        # A worker that has finished.
        ("metadata-1 Succeeded False", ""),
        ("metadata-1 Failed False", "metadata-1"),
    ],
)
def test_unready_pod_is_detected(line: str, expected: str) -> None:
    assert diagnosis.unready(line) == expected


def test_diagnosis_shows_logs_of_unready_pods() -> None:
    asked = client("api-1 Running True", "operator-1 Running False")
    said = diagnosis.describe(asked, "vision-node")
    assert "Log of operator-1:\nlog of operator-1" in said
    assert set(asked.logs) == {"operator-1"}


def test_diagnosis_of_many_pods_is_short() -> None:
    asked = client(*(f"metadata-{number} Failed False" for number in range(500)))
    said = diagnosis.describe(asked, "vision-node")
    assert len(set(asked.logs)) == MAX_POD_LOGS
    assert len(said.splitlines()) < 4 * LOG_LINES
    assert "more pods" in said
    assert f"… and {500 - MAX_POD_LOGS} more pods that are not ready" in said
    assert "warning 999" in said, "the newest warnings are the last"


NOW, BEFORE = "2026-01-01T12:00:00Z", "2026-01-01T11:59:59Z"


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        (
            Container(NOW, "api-1", 3, "CrashLoopBackOff"),
            "pod api-1 does not start: CrashLoopBackOff",
        ),
        (
            Container(NOW, "api-1", 0, "ErrImageNeverPull"),
            "pod api-1 does not start: ErrImageNeverPull",
        ),
        # Its dependencies may still be starting.
        (Container(NOW, "api-1", 2, "CrashLoopBackOff"), ""),
        (Container(NOW, "api-1", 0, "ContainerCreating"), ""),
        (Container(NOW, "api-1", 5, ""), ""),
        # The upgrade is about to replace it.
        (Container(BEFORE, "api-1", 9, "CrashLoopBackOff"), ""),
    ],
)
def test_permanent_failure_is_detected(container: Container, expected: str) -> None:
    assert permanent_failure([container], NOW) == expected


def test_container_is_parsed_from_kubectl_output() -> None:
    assert Container.parse(f"{NOW} api-1 2 CrashLoopBackOff") == Container(
        NOW, "api-1", 2, "CrashLoopBackOff"
    )
    assert Container.parse(f"{NOW} api-1 0 ") == Container(NOW, "api-1", 0, "")
