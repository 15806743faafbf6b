from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster import diagnosis
from cluster.client import Client
from cluster.diagnosis import LOG_LINES, MOST_LOGS, PODS
from cluster.run import shell


@dataclass(frozen=True)
class Asked(Client):
    """Answers as kubectl does in a namespace with those pods (lines of the template PODS)."""

    pods: tuple[str, ...] = ()
    logs: list[str] = field(default_factory=list)

    def ask(self, *arguments: shell.Argument) -> str:
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
        # A worker that has done its work.
        ("metadata-1 Succeeded False", ""),
        ("metadata-1 Failed False", "metadata-1"),
    ],
)
def test_a_pod_in_trouble_is_one_that_should_be_ready(line: str, expected: str) -> None:
    assert diagnosis.unready(line) == expected


def test_the_logs_of_pods_in_trouble_are_shown() -> None:
    asked = client("api-1 Running True", "operator-1 Running False")
    said = diagnosis.describe(asked, "vision-node")
    assert "Log of operator-1:\nlog of operator-1" in said
    assert set(asked.logs) == {"operator-1"}


def test_of_many_pods_and_warnings_a_diagnosis_stays_readable() -> None:
    asked = client(*(f"metadata-{number} Failed False" for number in range(500)))
    said = diagnosis.describe(asked, "vision-node")
    assert len(set(asked.logs)) == MOST_LOGS
    assert len(said.splitlines()) < 4 * LOG_LINES
    assert "more pods" in said
    assert f"… and {500 - MOST_LOGS} more pods that are not ready" in said
    assert "warning 999" in said, "the newest warnings are the last"
