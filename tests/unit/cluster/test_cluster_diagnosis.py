"""Tests of the diagnosis that is shown when the release does not become ready."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster import diagnosis
from cluster.client import Client
from cluster.diagnosis import LOG_LINES, MAX_POD_LOGS, PODS, Container, permanent_failure
from cluster.run import shell


@dataclass(frozen=True)
class FakeClient(Client):
    """A fake client whose kubectl lists `pods`. Each pod is a line in the format of PODS."""

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


def client(*pods: str) -> FakeClient:
    return FakeClient(Path("kubectl"), Path("helm"), None, pods)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("api-1 Running True", ""),
        ("api-1 Running False", "api-1"),
        ("api-1 Pending", "api-1"),
        # A finished worker is not a problem.
        ("metadata-1 Succeeded False", ""),
        ("metadata-1 Failed False", "metadata-1"),
    ],
)
def test_unready_pod_is_detected(line: str, expected: str) -> None:
    assert diagnosis.unready(line) == expected


def test_diagnosis_shows_logs_of_unready_pods() -> None:
    fake = client("api-1 Running True", "operator-1 Running False")
    text = diagnosis.describe(fake, "vision-node")
    assert "Log of operator-1:\nlog of operator-1" in text
    assert set(fake.logs) == {"operator-1"}


def test_diagnosis_of_many_pods_is_short() -> None:
    fake = client(*(f"metadata-{number} Failed False" for number in range(500)))
    text = diagnosis.describe(fake, "vision-node")
    assert len(set(fake.logs)) == MAX_POD_LOGS
    assert len(text.splitlines()) < 4 * LOG_LINES
    assert "more pods" in text
    assert f"… and {500 - MAX_POD_LOGS} more pods that are not ready" in text
    assert "warning 999" in text, "the newest warnings come last"


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
        # The dependencies of the pod may still be starting.
        (Container(NOW, "api-1", 2, "CrashLoopBackOff"), ""),
        (Container(NOW, "api-1", 0, "ContainerCreating"), ""),
        (Container(NOW, "api-1", 5, ""), ""),
        # The pod existed before the upgrade, which will replace it.
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
