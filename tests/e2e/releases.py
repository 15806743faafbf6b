"""Install additional releases of the chart, each in its own namespace.

They use the CRDs and the images of the first release.
"""

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
from vision_node_contract.json_types import Json

CHART = "charts/vision-node"
RELEASE = "vision-node"
TIMEOUT = ("--timeout", "120s")


class Helm:
    """Runs helm in a cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self._env = os.environ | {"KUBECONFIG": str(kubeconfig)}
        self._program = shutil.which("helm") or pytest.fail(
            "helm is not on PATH: run `python3 -m cluster tool helm`"
        )

    def __call__(self, *arguments: str, values: Json | None = None) -> str:
        """Run helm and return its standard output followed by its standard error."""
        options = ("--values", "-") if values is not None else ()
        done = subprocess.run(
            [self._program, *arguments, *options],
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
    """Return a callable that runs helm in the test cluster."""
    return Helm(Path(kind_cluster.kubeconfig_path))


@dataclass(frozen=True)
class ExtraRelease:
    """A release named `other` in a namespace that enforces Pod Security `restricted`."""

    namespace: str
    helm: Helm
    cluster: KindCluster
    base: Json = field(default_factory=dict)
    """Values for every installation: the images of the first release, and no CRDs."""

    release = "other"
    prefix = "other-vision-node"

    def kubectl(self, *arguments: str, **kwargs: Any) -> str:
        """Run kubectl in the namespace and return its output."""
        output: str = self.cluster.kubectl("--namespace", self.namespace, *arguments, **kwargs)
        return output

    def apply(self, *objects: Json) -> None:
        """Apply objects in the namespace."""
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(listed))

    def install(self, values: Json | None = None, chart: str | Path = CHART) -> str:
        """Install or upgrade the release. Wait until its pods are ready and its Jobs are done."""
        wait = ("--wait", "--wait-for-jobs", *TIMEOUT)
        merged = {**self.base, **(values or {})}
        if chart != CHART:
            # Older charts don't know all images.
            known = {"api", "describer", "minio", "operator"}
            merged["images"] = {name: it for name, it in merged["images"].items() if name in known}

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
        """Upgrade the release to the chart of this revision, and keep its values."""
        wait = ("--wait", "--wait-for-jobs", *TIMEOUT)
        # The values of an older chart don't name this image.
        postgres = f"images.postgres={self.base['images']['postgres']}"
        reused = ("--reuse-values", "--set-string", postgres)
        return self.helm("upgrade", self.release, CHART, "-n", self.namespace, *reused, *wait)

    def run_helm_test(self) -> str:
        """Run `helm test`, which describes an image, and return its output."""
        return self.helm("test", self.release, "-n", self.namespace, *TIMEOUT)

    def secret(self, name: str) -> Json:
        """Return the base64-encoded data of a Secret."""
        found: Json = json.loads(self.kubectl("get", "secret", name, "-o", "json"))["data"]
        return found

    def pods(self) -> list[Json]:
        """Return all pods in the namespace."""
        found: list[Json] = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        return found


@contextmanager
def extra_release(
    namespace: str, helm: Helm, kubectl: Kubectl, cluster: KindCluster
) -> Iterator[ExtraRelease]:
    """Create a namespace and yield a release to install there. Delete both when the block ends."""
    images = helm.values_of(RELEASE, NAMESPACE)["images"]
    created = ExtraRelease(namespace, helm, cluster, {"images": images, "crds": {"install": False}})
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": namespace, "labels": labels}

    created.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    try:
        yield created
    finally:
        helm("uninstall", created.release, "-n", namespace, "--ignore-not-found")
        kubectl("delete", "namespace", namespace, "--wait=false")
