"""Tests of `make dev` with PART=api and PART=operator."""

import os
import re
import stat
import sys
from pathlib import Path

import pytest
from dev_cluster import SECRET_KEY, Checkout, deployment

from cluster.dev import component
from cluster.errors import ClusterError


def test_component_gets_environment_of_its_deployment(checkout: Checkout) -> None:
    assert checkout.run("api") == 0
    env = checkout.seen["env"]
    assert checkout.seen["arguments"][-3:] == ["python", "-m", "vision_node_api"]
    assert env["POD_NAMESPACE"] == "vision-node"
    assert env["S3_SECRET_KEY"] == SECRET_KEY
    assert env["LISTEN_ADDRESS"].startswith("127.0.0.1:")
    assert env["METRICS_LISTEN_ADDRESS"].startswith("127.0.0.1:")
    assert env["METRICS_LISTEN_ADDRESS"] != env["LISTEN_ADDRESS"]


def test_store_in_the_cluster_is_reached_through_a_local_port(checkout: Checkout) -> None:
    checkout.run("api")
    env = checkout.seen["env"]
    assert env["S3_ENDPOINT"].startswith("127.0.0.1:")
    assert "127.0.0.1" in env["NO_PROXY"].split(",")


def test_database_in_the_cluster_is_reached_through_a_local_port(checkout: Checkout) -> None:
    checkout.run("api")
    url = checkout.seen["env"]["DATABASE_URL"]
    assert re.fullmatch(r"postgresql://127\.0\.0\.1:\d+/v\?sslmode=disable", url)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_ENDPOINT", "s3.example.com:443"),
        ("DATABASE_URL", "postgresql://db.example.com:5432/v"),
        ("DATABASE_URL", "postgresql://me:secret@db-1:5432,db-2:5432/v"),
        ("DATABASE_URL", "postgresql:///v?host=/run"),
    ],
)
def test_address_of_external_service_is_unchanged(
    checkout: Checkout, name: str, value: str
) -> None:
    found = deployment("api")
    variables = [{"name": name, "value": value}]
    found["spec"]["template"]["spec"]["containers"] = [{"env": variables}]
    checkout.client.objects["deployment", "vision-node-api"] = found
    checkout.run("api")
    assert checkout.seen["env"][name] == value


def test_kubeconfig_has_only_the_service_accounts_token_and_is_deleted(checkout: Checkout) -> None:
    checkout.run("api")
    seen = checkout.seen
    assert [user["user"] for user in seen["kubeconfig"]["users"]] == [
        {"token": "token of vision-node-api"}
    ]
    assert stat.S_IMODE(seen["mode"]) == 0o600
    assert not Path(seen["env"]["KUBECONFIG"]).exists()


def test_api_in_the_cluster_keeps_running(checkout: Checkout) -> None:
    checkout.run("api")
    assert checkout.client.log == []


@pytest.mark.parametrize("status", [0, 1])
def test_operator_in_the_cluster_is_stopped_while_the_local_one_runs(
    status: int, checkout: Checkout
) -> None:
    checkout.uv_exits_with(status)
    assert checkout.run("operator") == status
    assert checkout.client.log == [
        "scale deployment/vision-node-operator --replicas=0",
        "pods",
        "pods",
        "scale deployment/vision-node-operator --replicas=1",
    ]


def test_operator_is_scaled_back_if_it_cannot_start(checkout: Checkout) -> None:
    checkout.client.objects["deployment", "vision-node-operator"] = deployment("operator", 3)
    checkout.uv.unlink()
    with pytest.raises(OSError, match="uv"):
        checkout.run("operator")
    assert checkout.client.log[-1] == "scale deployment/vision-node-operator --replicas=3"


def test_operator_without_replicas_after_a_killed_run_is_scaled_to_one(checkout: Checkout) -> None:
    checkout.client.objects["deployment", "vision-node-operator"] = deployment("operator", 0)
    checkout.run("operator")
    assert checkout.client.log[-1] == "scale deployment/vision-node-operator --replicas=1"


def test_operator_in_the_cluster_keeps_running_if_a_secret_is_missing(checkout: Checkout) -> None:
    del checkout.client.objects["secret", "vision-node-storage"]
    with pytest.raises(ClusterError, match="vision-node-storage"):
        checkout.run("operator")
    assert checkout.client.log == []


def test_ctrl_c_ends_the_process_with_sigterm(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = checkout.output

    class Interrupted(component.subprocess.Popen):  # type: ignore[misc, name-defined]
        def wait(self, timeout: float | None = None) -> int:
            if timeout is None and not output.exists():
                while not output.exists():
                    component.time.sleep(0.01)
                raise KeyboardInterrupt
            return int(super().wait(timeout))

    script = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (output.write_text('SIGTERM'), sys.exit(0)))\n"
        f"output = pathlib.Path({str(output)!r})\n"
        "output.touch()\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(component.subprocess, "Popen", Interrupted)
    command = [sys.executable, "-c", script]
    assert component.run_in_foreground(command, dict(os.environ), checkout.ctx) == 0
    assert output.read_text() == "SIGTERM"


def test_no_secret_is_printed(checkout: Checkout, capfd: pytest.CaptureFixture[str]) -> None:
    checkout.run("operator")
    printed = capfd.readouterr()
    for secret in (SECRET_KEY, "token of", "an administrator's"):
        assert secret not in printed.out + printed.err


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("vision-node-minio", ("vision-node-minio", "vision-node")),
        ("store.other", ("store", "other")),
        ("store.other.svc.cluster.local", ("store", "other")),
        ("s3.example.com", ("", "")),
        ("", ("", "")),
    ],
)
def test_service_is_recognized_by_its_host_name(host: str, expected: tuple[str, str]) -> None:
    assert component.service_of(host) == expected
