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
def test_failed_provider_is_reported_and_not_an_error(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(setting)
    demo.show(tmp_path, URL, "")
    said = capsys.readouterr().out
    assert f"vision-node is up: {URL}/ui" in said
    assert "openai, the default describer, failed" in said
    assert f"-F describer=metadata {URL}/submit" in said


@pytest.mark.parametrize("setting", ["", "OPENAI_VISION_MODEL=gpt-4o-mini"])
@pytest.mark.usefixtures("client_fails")
def test_demo_failure_without_provider_is_an_error(setting: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(setting)
    with pytest.raises(ClusterError, match="make logs"):
        demo.show(tmp_path, URL, "")


def test_closing_text_suggests_no_other_describer_after_success() -> None:
    said = demo.closing_text(URL, " NAME=two", described=True)
    assert f"curl -F file=@docs/photo.jpg {URL}/submit" in said
    assert "make env NAME=two" in said
    assert "metadata" not in said
