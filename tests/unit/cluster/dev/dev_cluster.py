"""A fake cluster and a fake uv for the tests of `make dev`."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.client import Client
from cluster.context import BuildContext
from cluster.dev import component
from cluster.errors import ClusterError
from cluster.run import shell

SECRET_KEY = "do-not-print"  # noqa: S105  # not a real secret

# A fake kubectl that listens on the local port of "port-forward".
KUBECTL = """#!{python}
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[-1].partition(":")[0]))) as server:
    while True:
        server.accept()[0].close()
"""

# A fake uv that records its arguments, its environment and the kubeconfig.
UV = """#!{python}
import json, os, pathlib, sys
env = dict(os.environ)
kubeconfig = pathlib.Path(env.get("KUBECONFIG", "/nowhere"))
found = json.loads(kubeconfig.read_text()) if kubeconfig.exists() else None
mode = kubeconfig.stat().st_mode if found else 0
text = json.dumps({{"arguments": sys.argv[1:], "env": env, "kubeconfig": found, "mode": mode}})
pathlib.Path({output!r}).write_text(text)
sys.exit({status})
"""

CONTAINER = {
    "env": [
        {"name": "DEFAULT_DESCRIBER", "value": "local"},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "S3_ENDPOINT", "value": "vision-node-minio:9000"},
        {
            "name": "DATABASE_URL",
            "value": "postgresql://vision-node-postgres:5432/v?sslmode=disable",
        },
        {
            "name": "S3_SECRET_KEY",
            "valueFrom": {"secretKeyRef": {"name": "vision-node-storage", "key": "key"}},
        },
    ]
}
KUBECONFIG = {
    "current-context": "kind-vision-node",
    "users": [{"name": "kind-vision-node", "user": {"client-key-data": "an administrator's"}}],
}


@dataclass(frozen=True)
class FakeCluster(Client):
    """A fake cluster with a release. Its pods are listed only in the first request."""

    objects: dict[tuple[str, str], Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def run_kubectl(self, *arguments: shell.Argument) -> None:
        self.log.append(" ".join(map(str, arguments[2:])))

    def kubectl_output(self, *arguments: shell.Argument) -> str:
        words = list(map(str, arguments))
        if words[0] == "config":
            return json.dumps(KUBECONFIG)

        _, _, verb, kind, *rest = words
        if verb == "create":
            return f"token of {rest[0]}\n"
        if kind == "pods":
            self.log.append("pods")
            return json.dumps({"items": [{}] if self.log.count("pods") == 1 else []})
        if kind == "services":
            name = rest[0].rpartition("=")[2]
            known = name in {"vision-node-minio", "vision-node-postgres"}
            return json.dumps({"items": [{}] if known else []})
        if (kind, rest[0]) not in self.objects:
            raise ClusterError(f"{kind} {rest[0]} not found")
        return json.dumps(self.objects[kind, rest[0]])


def deployment(name: str, replicas: int = 1) -> dict[str, Any]:
    pod = {"serviceAccountName": f"vision-node-{name}", "containers": [CONTAINER]}
    return {"spec": {"replicas": replicas, "template": {"spec": pod}}}


@dataclass(frozen=True)
class Checkout:
    """The arguments of `component.run`, and the file in which the fake uv records its call."""

    ctx: BuildContext
    client: FakeCluster
    uv: Path
    output: Path

    def uv_exits_with(self, status: int) -> None:
        self.uv.write_text(UV.format(python=sys.executable, output=str(self.output), status=status))
        self.uv.chmod(0o755)

    def run(self, name: str) -> int:
        port = component.free_port()
        return component.run(self.ctx, self.client, self.uv, component.COMPONENTS[name], port)

    @property
    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.output.read_text())
        return found
