"""Run kubectl and helm on one cluster."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.run import shell


@dataclass(frozen=True)
class Client:
    """The paths of kubectl and helm, and the cluster that they talk to."""

    kubectl: Path
    helm: Path
    kubeconfig: Path | None
    """The cluster's kubeconfig; None means the current context of the user's kubectl."""

    @property
    def env(self) -> dict[str, str]:
        """The environment for the two programs."""
        variables = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {}
        return os.environ | variables

    def apply(self, manifest: Mapping[str, object]) -> None:
        """Create or replace an object in the cluster."""
        # Without --server-side, an annotation would repeat the whole object. If the object is a
        # Secret, that includes the API keys in it.
        apply = (self.kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-")
        shell.run(apply, env=self.env, text_in=json.dumps(manifest))

    def run_kubectl(self, *arguments: shell.Argument) -> None:
        """Run kubectl. Its output goes to the step's log."""
        shell.run([self.kubectl, *arguments], env=self.env)

    def run_helm(self, *arguments: shell.Argument, text_in: str = "") -> None:
        """Run helm. Its output goes to the step's log."""
        shell.run([self.helm, *arguments], env=self.env, text_in=text_in)

    def kubectl_output(self, *arguments: shell.Argument) -> str:
        """Return kubectl's output. Raises ClusterError if it fails."""
        return shell.output([self.kubectl, *arguments], env=self.env)

    def helm_output(self, *arguments: shell.Argument) -> str:
        """Return helm's output. Raises ClusterError if it fails."""
        return shell.output([self.helm, *arguments], env=self.env)
