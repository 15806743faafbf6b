"""Further releases of the chart, each in its own namespace; they use the CRDs and images of the first."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import NAMESPACE, Kubectl
from pytest_kind import KindCluster

CHART = "charts/vision-node"
RELEASE = "vision-node"
TIMEOUT = ("--timeout", "120s")

Json = dict[str, Any]


class Helm:
    """The program helm, configured for a cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self._env = os.environ | {"KUBECONFIG": str(kubeconfig)}
        self._program = shutil.which("helm") or pytest.fail(
            "helm is not on PATH: `python3 -m cluster tool helm` gets it"
        )

    def __call__(self, *arguments: str, values: Json | None = None) -> str:
        """Run it; return what it prints, results on standard output first."""
        given = ("--values", "-") if values is not None else ()
        done = subprocess.run(
            [self._program, *arguments, *given],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            env=self._env,
            check=False,
        )
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}"

        return done.stdout + done.stderr

    def values_of(self, release: str, namespace: str) -> Json:
        """Return the user-supplied values of a release."""
        printed = self("get", "values", release, "-n", namespace, "-o", "json")
        found: Json = json.loads(printed.partition("\n")[0])
        return found


@pytest.fixture(scope="session")
def helm(kind_cluster: KindCluster) -> Helm:
    """Run helm; returns what it prints, results on standard output first."""
    return Helm(Path(kind_cluster.kubeconfig_path))


@dataclass(frozen=True)
class Elsewhere:
    """A release `other` in a namespace of its own, which enforces Pod Security `restricted`."""

    namespace: str
    helm: Helm
    cluster: KindCluster
    base: Json = field(default_factory=dict)
    """Values of all installs: the images, and no CRDs."""

    release = "other"
    prefix = "other-vision-node"

    def kubectl(self, *arguments: str, **kwargs: Any) -> str:
        """Run kubectl in the namespace."""
        output: str = self.cluster.kubectl("--namespace", self.namespace, *arguments, **kwargs)
        return output

    def apply(self, *objects: Json) -> None:
        """Apply objects."""
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(listed))

    def install(self, values: Json | None = None, chart: str | Path = CHART) -> str:
        """Install or upgrade, and wait until everything is ready, including the Jobs of the bundled store."""
        wait = ("--wait", "--wait-for-jobs", *TIMEOUT)
        merged = {**self.base, **(values or {})}
        return self.helm(
            "upgrade",
            "--install",
            self.release,
            str(chart),
            "-n",
            self.namespace,
            *wait,
            values=merged,
        )

    def upgrade(self) -> str:
        """Upgrade to this revision's chart, as users do who keep their values only in the release."""
        wait = ("--wait", "--wait-for-jobs", *TIMEOUT)
        return self.helm(
            "upgrade", self.release, CHART, "-n", self.namespace, "--reuse-values", *wait
        )

    def describes(self) -> str:
        """Run `helm test`, which describes a picture; return what it prints."""
        return self.helm("test", self.release, "-n", self.namespace, *TIMEOUT)

    def secret(self, name: str) -> Json:
        """Return a Secret's data."""
        found: Json = json.loads(self.kubectl("get", "secret", name, "-o", "json"))["data"]
        return found

    def pods(self) -> list[Json]:
        """Return the namespace's pods."""
        found: list[Json] = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        return found


@contextmanager
def elsewhere(
    namespace: str, helm: Helm, kubectl: Kubectl, cluster: KindCluster
) -> Iterator[Elsewhere]:
    """Create the namespace; delete it and the release at the end."""
    images = helm.values_of(RELEASE, NAMESPACE)["images"]
    made = Elsewhere(namespace, helm, cluster, {"images": images, "crds": {"install": False}})
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": namespace, "labels": labels}
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    try:
        yield made
    finally:
        helm("uninstall", made.release, "-n", namespace, "--ignore-not-found")
        kubectl("delete", "namespace", namespace, "--wait=false")
