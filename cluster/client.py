"""The programs kubectl and helm, aimed at one cluster."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.run import shell


@dataclass(frozen=True)
class Client:
    """Where the two programs are, and the cluster that they talk to."""

    kubectl: Path
    helm: Path
    kubeconfig: Path | None
    """None: what the user's own kubectl points at."""

    @property
    def env(self) -> dict[str, str]:
        """The environment that aims them."""
        aim = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {}
        return os.environ | aim

    def apply(self, manifest: Mapping[str, object]) -> None:
        """Have the object in the cluster as it is here."""
        # Server-side: else an annotation would repeat all that the object holds, keys included.
        apply = (self.kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-")
        shell.run(apply, env=self.env, text_in=json.dumps(manifest))

    def run_kubectl(self, *arguments: shell.Argument) -> None:
        """Run kubectl; its output goes into the step's log."""
        shell.run([self.kubectl, *arguments], env=self.env)

    def run_helm(self, *arguments: shell.Argument, text_in: str = "") -> None:
        """Run helm; its output goes into the step's log."""
        shell.run([self.helm, *arguments], env=self.env, text_in=text_in)

    def ask(self, *arguments: shell.Argument) -> str:
        """What kubectl prints."""
        return shell.output([self.kubectl, *arguments], env=self.env)
