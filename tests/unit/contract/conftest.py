"""Fixture for the contract's tests."""

import os

import pytest


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove this machine's proxy and AWS settings, so that only the settings of a test apply."""
    proxy_variables = {"http_proxy", "https_proxy", "no_proxy", "all_proxy"}

    for name in os.environ:
        if name.lower() in proxy_variables or name.startswith("AWS_"):
            monkeypatch.delenv(name)

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
