"""Tests of HTTP settings from the environment, and of the options for uvicorn and the process."""

import gc
from typing import Any

import pytest
import uvicorn
from vision_node_api.__main__ import server_options
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.garbage_collection import freeze_garbage_collection

PROXY_IDLE_SECONDS = 60
"""How long proxies keep idle connections open.

This is the default of nginx's keepalive_timeout for upstreams, and the usual idle timeout of cloud
load balancers.
"""


async def nothing(*_: Any) -> None: ...


def config_of(http: HttpSettings) -> uvicorn.Config:
    return uvicorn.Config(nothing, **server_options(http))


def test_api_keeps_idle_connections_open_longer_than_proxies() -> None:
    assert config_of(HttpSettings()).timeout_keep_alive > PROXY_IDLE_SECONDS
    assert config_of(HttpSettings(keep_alive_seconds=400)).timeout_keep_alive == 400


def test_uvicorn_ignores_forwarding_headers() -> None:
    """Uvicorn would trust every client on this machine, and would hide the addresses of proxies."""
    assert config_of(HttpSettings()).proxy_headers is False


ENVIRONMENT = {
    "ROOT_PATH": "/vision",
    "TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8",
    "CORS_ORIGINS": "https://a.example,https://b.example",
    "KEEP_ALIVE_SECONDS": "90",
}


def test_http_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = HttpSettings.from_env()
    assert settings.root_path == "/vision"
    assert settings.trusted_proxies.count_trusted(["192.0.2.1", "fd01::1", "10.1.1.1"]) == 2
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.keep_alive_seconds == 90


@pytest.mark.parametrize("value", [None, ""])
def test_default_http_settings_trust_and_allow_nothing(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    for name in ENVIRONMENT:
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    settings = HttpSettings.from_env()
    assert not settings.trusted_proxies
    assert (settings.root_path, settings.cors_origins, settings.keep_alive_seconds) == ("", (), 75)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROOT_PATH", "vision"),
        ("ROOT_PATH", "/status"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
        ("KEEP_ALIVE_SECONDS", "long"),
    ],
)
def test_invalid_setting_prevents_startup(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=value.strip("/")):
        HttpSettings.from_env()


def test_garbage_collection_skips_what_exists_at_the_start() -> None:
    before = gc.get_freeze_count()
    freeze_garbage_collection()
    try:
        assert gc.get_freeze_count() > before + 10_000
        assert len(gc.get_objects()) < 1000
    finally:
        gc.unfreeze()
