"""Tests that settings in the .env file reach the cluster, and that errors reveal no keys."""

from pathlib import Path

import pytest

from cluster import dotenv
from cluster.errors import ClusterError

CASES = [
    ("", {}, {}),
    ("OPENAI_API_KEY=\nOPENAI_BASE_URL=''", {}, {}),
    ("OPENAI_API_KEY=sk-1", {}, {"OPENAI_API_KEY": "sk-1"}),
    ("# a comment\n\n  export OPENAI_API_KEY = 'sk-1' ", {}, {"OPENAI_API_KEY": "sk-1"}),
    ('OPENAI_VISION_MODEL="a=b"\nHOME=/elsewhere', {}, {"OPENAI_VISION_MODEL": "a=b"}),
    ("OPENAI_API_KEY=file", {"OPENAI_API_KEY": "env"}, {"OPENAI_API_KEY": "env"}),
    ("", {"OPENAI_API_KEY": "env", "OTHER": "x"}, {"OPENAI_API_KEY": "env"}),
]


@pytest.mark.parametrize(("text", "environment", "expected"), CASES)
def test_provider_settings_are_read_from_file_and_environment(
    tmp_path: Path, text: str, environment: dict[str, str], expected: dict[str, str]
) -> None:
    (tmp_path / ".env").write_text(text)
    assert dotenv.read(tmp_path / ".env", environment) == expected


def test_keys_of_cloud_describers_are_read_only_if_wanted_and_only_from_the_file(
    tmp_path: Path,
) -> None:
    text = "OPENAI_API_KEY=sk-1\nGOOGLE_API_KEY=g\nAWS_REGION=eu-west-1\nAWS_SESSION_TOKEN="
    (tmp_path / ".env").write_text(text)
    environment = {"AWS_ACCESS_KEY_ID": "of-another-tool", "AWS_REGION": "us-east-1"}

    assert dotenv.read(tmp_path / ".env", environment) == {"OPENAI_API_KEY": "sk-1"}
    assert dotenv.read(tmp_path / ".env", environment, cloud=True) == {
        "OPENAI_API_KEY": "sk-1",
        "GOOGLE_API_KEY": "g",
        "AWS_REGION": "eu-west-1",
    }


def test_example_file_has_all_settings() -> None:
    example = Path(__file__).parents[3] / ".env.example"
    named = {
        line.partition("=")[0] for line in example.read_text().splitlines() if "=" in line[:40]
    }
    assert named == {*dotenv.FORWARDED_VARIABLES, *dotenv.CLOUD_VARIABLES}


def test_secret_manifest_replaces_all_keys() -> None:
    made = dotenv.secret_manifest({"OPENAI_API_KEY": "sk-1"}, "ns")
    assert (made["data"], "stringData" in made) == ({"OPENAI_API_KEY": "c2stMQ=="}, False)


def test_missing_file_means_no_settings(tmp_path: Path) -> None:
    assert dotenv.read(tmp_path / ".env", {}) == {}


def test_invalid_line_is_reported_by_number_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=a\nsk-secret")
    with pytest.raises(ClusterError, match=r"\.env, line 2") as caught:
        dotenv.read(tmp_path / ".env", {})
    assert "secret" not in str(caught.value)
