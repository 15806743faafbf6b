"""Tests of the demo at the end of `make up`, with a client that fails."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from cluster import demo, dotenv
from cluster.errors import ClusterError

URL = "http://127.0.0.1:8000"


@pytest.fixture
def client_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[Any], *, check: bool) -> subprocess.CompletedProcess[str]:
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
