"""Tests of how `make up` turns API keys on and finds the first one, with fake helm and kubectl."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import access
from cluster.access import ApiAccess
from cluster.client import Client
from cluster.errors import ClusterError

Program = Callable[..., Path]


def client_of(program: Program, *, helm: str = "", kubectl: str = "") -> Client:
    return Client(program("kubectl", kubectl), program("helm", helm), None)


def helm(values: object) -> str:
    """Return a script for a helm that knows a release with these values."""
    return f"""case "$*" in
      *--all*) exit 1 ;; # Helm 4 does not know it
      list*) echo '[{{"name": "vision-node"}}]' ;;
      *) echo '{json.dumps(values)}' ;;
    esac"""


NO_RELEASE = "echo '[]'"

CLOSED = {"enabled": True, "kubernetes": {"enabled": True}}


@pytest.mark.parametrize(
    ("installed", "wanted", "expected"),
    [
        (NO_RELEASE, None, {}),
        (NO_RELEASE, "", {}),
        (NO_RELEASE, "1", {"auth": {"enabled": True}}),
        (helm(None), "", {}),
        (helm({"images": {}}), "", {}),
        (helm({"auth": CLOSED}), "", {"auth": CLOSED}),
        (helm({"auth": CLOSED}), "1", {"auth": CLOSED}),
        (helm({"auth": CLOSED}), "0", {"auth": {**CLOSED, "enabled": False}}),
    ],
)
def test_api_stays_closed_unless_it_is_opened(
    program: Program, installed: str, wanted: str | None, expected: object
) -> None:
    environment = {} if wanted is None else {"AUTH": wanted}
    client = client_of(program, helm=installed)
    assert access.values(client, "vision-node", "vision-node", environment) == expected


def test_api_is_not_opened_if_helm_fails(program: Program) -> None:
    client = client_of(program, helm="exit 1")
    with pytest.raises(ClusterError):
        access.values(client, "vision-node", "vision-node", {})


def test_unknown_value_is_rejected(program: Program) -> None:
    with pytest.raises(ClusterError, match="AUTH=yes is unknown"):
        access.values(client_of(program), "vision-node", "vision-node", {"AUTH": "yes"})


def kubectl(*, enabled: str, key: str) -> str:
    """Return a script for a kubectl."""
    encoded = b64encode(key.encode()).decode()
    return f"""case "$*" in
      *deployment*) printf '{enabled}' ;;
      *"secret vision-node-admin-key --ignore-not-found"*) printf '{encoded}' ;;
    esac"""


@pytest.mark.parametrize(
    ("enabled", "key", "expected"),
    [
        ("", "vn_former", ApiAccess(needs_key=False)),
        ("true", "vn_first", ApiAccess(needs_key=True, key="vn_first")),
        ("true", "", ApiAccess(needs_key=True)),
    ],
)
def test_first_key_is_read(program: Program, enabled: str, key: str, expected: ApiAccess) -> None:
    client = client_of(program, kubectl=kubectl(enabled=enabled, key=key))
    found = access.find(client, "vision-node")
    assert found == expected
    assert "vn_" not in repr(found)
