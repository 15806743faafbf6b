"""Tests of the demo at the end of `make up`, with a client that fails."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from cluster import demo, dotenv
from cluster.access import ApiAccess
from cluster.errors import ClusterError

URL = "http://127.0.0.1:8000"


@pytest.fixture
def client_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(
        command: list[Any], *, check: bool, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", fail)
    for name in dotenv.FORWARDED_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("setting", ["OPENAI_API_KEY=x", "OPENAI_BASE_URL=http://ollama.test/v1"])
@pytest.mark.usefixtures("client_fails")
def test_provider_failure_is_reported_but_is_not_an_error(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(setting)
    demo.show(tmp_path, URL, "")
    output = capsys.readouterr().out
    assert f"vision-node is up: {URL}/ui" in output
    assert "openai, the default describer, failed" in output
    assert f"-F describer=metadata {URL}/submit" in output


@pytest.mark.parametrize("setting", ["", "OPENAI_VISION_MODEL=gpt-4o-mini"])
@pytest.mark.usefixtures("client_fails")
def test_demo_failure_is_an_error_if_no_provider_is_configured(
    setting: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(setting)
    with pytest.raises(ClusterError, match="make logs"):
        demo.show(tmp_path, URL, "")


def test_closing_text_suggests_no_other_describer_after_success() -> None:
    output = demo.closing_text(URL, " NAME=two", described=True)
    assert f"curl -F file=@docs/photo.jpg {URL}/submit" in output
    assert "make env NAME=two" in output
    assert "metadata" not in output


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The keys that the client was given, in the order of its runs. It succeeds."""
    found: list[str | None] = []

    def succeed(
        command: list[Any], *, check: bool, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        found.append(env.get("VISION_NODE_API_KEY"))
        assert "vn_" not in str(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", succeed)
    monkeypatch.delenv("VISION_NODE_API_KEY", raising=False)
    return found


def test_demo_uses_the_first_key(
    keys: list[str | None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.show(tmp_path, URL, "", ApiAccess(needs_key=True, key="vn_first"))
    assert keys == ["vn_first"]
    output = capsys.readouterr().out
    assert "vn_first" not in output
    assert 'curl -H "Authorization: Bearer $VISION_NODE_API_KEY"' in output
    assert "export VISION_NODE_API_KEY=$(kubectl -n vision-node get secret" in output


def test_demo_uses_the_users_key_if_the_first_one_was_deleted(
    keys: list[str | None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deleted = ApiAccess(needs_key=True)
    demo.show(tmp_path, URL, "", deleted)
    assert "picture was described" in capsys.readouterr().out
    monkeypatch.setenv("VISION_NODE_API_KEY", "vn_own")
    demo.show(tmp_path, URL, "", deleted)
    assert keys == ["vn_own"]


def test_demo_of_an_open_api_needs_no_key(
    keys: list[str | None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.show(tmp_path, URL, "")
    assert keys == [None]
    assert "Authorization" not in capsys.readouterr().out
