"""Look for words in the file of etcd's database, on the kind node.

etcd keeps old versions of objects until it is compacted, and their bytes stay in the file until it
is defragmented. Kubernetes compacts etcd every five minutes.
"""

import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PORT = 2379
PKI = "/etc/kubernetes/pki"
DATABASE = "/var/lib/etcd/member/snap/db"

REQUEST_SECONDS = 60.0


@dataclass(frozen=True)
class Etcd:
    """The etcd on a kind node, which is a Docker container."""

    node: str

    def has(self, word: str) -> bool:
        """Return whether the database's file contains a word."""
        found = subprocess.run(
            ["docker", "exec", self.node, "grep", "-aqF", "--", word, DATABASE], check=False
        )
        assert found.returncode in {0, 1}, f"grep ended with {found.returncode}"
        return found.returncode == 0

    def forget_old_versions(self) -> None:
        """Remove all versions of objects but the newest from the file."""
        with self._connect() as client:
            status = _call(client, "/v3/maintenance/status", {})
            revision = status["header"]["revision"]
            compaction = {"revision": revision, "physical": True}
            _call(client, "/v3/kv/compaction", compaction, may_say="has been compacted")
            _call(client, "/v3/maintenance/defragment", {})

    def _connect(self) -> httpx.Client:
        """Connect with the API server's certificate."""
        networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = _docker("inspect", "--format", networks, self.node).strip()
        authority = self._read("etcd/ca.crt")
        context = ssl.create_default_context(cadata=authority)
        # Python can load client certificates only from files.
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("client.crt", "client.key")]
            for file in files:
                file.write_text(self._read(f"apiserver-etcd-{file.name}"))
            context.load_cert_chain(*files)

        url = f"https://{address}:{PORT}"
        return httpx.Client(base_url=url, verify=context, timeout=REQUEST_SECONDS, trust_env=False)

    def _read(self, name: str) -> str:
        return _docker("exec", self.node, "cat", f"{PKI}/{name}")


def _call(
    client: httpx.Client, path: str, body: dict[str, Any], may_say: str | None = None
) -> dict[str, Any]:
    """Send a request, which may fail only with the words `may_say`."""
    answer = client.post(path, json=body)
    is_expected = may_say is not None and may_say in answer.text
    assert answer.is_success or is_expected, f"etcd: {path}: {answer.status_code} {answer.text}"
    found: dict[str, Any] = answer.json()
    return found


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout
