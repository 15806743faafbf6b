"""Setups that make the describers for remote providers call a local test server."""

from typing import Any

from vision_node_describer.describers import Setup
from vision_node_describer.describers.interface import DEFAULT_TIMEOUT_SECONDS

from .rekognition import KEY_ID

PROVIDERS = ["openai", "http", "google", "rekognition"]


def setup_of(provider: str, url: str, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> Setup:
    """Return a setup with fake credentials for a describer that calls the server at `url`."""
    options: dict[str, dict[str, Any]] = {
        "openai": {},
        "http": {"url": f"{url}/describe"},
        "google": {"endpoint": url},
        "rekognition": {"endpoint": url, "features": ["labels"]},
    }
    environment = {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": "sk-0123456789",
        "GOOGLE_API_KEY": "AIza-0123456789",
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "eu-west-1",
    }

    return Setup(
        options=options[provider], timeout_seconds=timeout_seconds, environment=environment
    )
