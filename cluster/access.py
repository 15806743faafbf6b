"""API keys: whether the release's API needs one, and the first one."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.client import Client
from cluster.errors import ClusterError

VARIABLE = "AUTH"
"""Environment variable that turns API keys on (1) or off (0). If empty, they stay as they are."""

KEY_VARIABLE = "VISION_NODE_API_KEY"
"""Environment variable in which clients look for a key."""

ADMIN_KEY_SECRET = "vision-node-admin-key"  # noqa: S105  # the Secret's name

API = "deployment/vision-node-api"

ENABLED = 'jsonpath={.spec.template.spec.containers[0].env[?(@.name=="AUTH_ENABLED")].value}'


@dataclass(frozen=True)
class ApiAccess:
    """What a client needs to use the API."""

    needs_key: bool
    key: str = field(default="", repr=False)
    """The first key, which is an administrator's; empty if it was deleted."""


def find(client: Client, namespace: str) -> ApiAccess:
    """Return what a client needs. Raises ClusterError if kubectl fails."""
    if client.kubectl_output("-n", namespace, "get", API, "-o", ENABLED) != "true":
        return ApiAccess(needs_key=False)

    secret = ("secret", ADMIN_KEY_SECRET, "--ignore-not-found", "-o", "jsonpath={.data.key}")
    encoded = client.kubectl_output("-n", namespace, "get", *secret)
    return ApiAccess(needs_key=True, key=base64.b64decode(encoded).decode())


def values(
    client: Client, release: str, namespace: str, environment: Mapping[str, str]
) -> dict[str, object]:
    """Return the chart's value `auth` as AUTH says.

    Without AUTH, it is the installed release's. Otherwise, another `make up` would open an API that
    was closed with `helm upgrade`.

    Raises:
        ClusterError: AUTH is neither 1 nor 0 nor empty, or helm fails.
    """
    wanted = environment.get(VARIABLE, "")
    if wanted not in {"", "0", "1"}:
        raise ClusterError(f"{VARIABLE}={wanted} is unknown. Set it to 1 or 0")

    found = _installed(client, release, namespace)
    if wanted:
        found["enabled"] = wanted == "1"

    return {"auth": found} if found else {}


def _installed(client: Client, release: str, namespace: str) -> dict[str, object]:
    options = ("-n", namespace, "-o", "json")
    releases = client.helm_output("list", "--filter", f"^{release}$", *options)
    if not json.loads(releases or "[]"):
        return {}

    found = json.loads(client.helm_output("get", "values", release, *options) or "null") or {}
    return dict(found.get("auth") or {})


def command() -> str:
    """Return the shell command that sets the variable for clients to the first key."""
    get = f"kubectl -n vision-node get secret {ADMIN_KEY_SECRET} -o jsonpath='{{.data.key}}'"
    return f"export {KEY_VARIABLE}=$({get} | base64 -d)"
