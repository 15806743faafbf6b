"""Describe one file with a Describer's settings and the code in the checkout.

A whole worker can't run outside the cluster: the operator assigns ImageJobs to pods, and the API
server accepts results only with the token of the pod to which an ImageJob is assigned.
"""

import json
import os
from pathlib import Path

from cluster.client import Client
from cluster.context import BuildContext
from cluster.dev.component import API, run_in_foreground
from cluster.dev.pod_environment import Json, PodEnvironment, get
from cluster.errors import ClusterError
from cluster.release import NAMESPACE, RELEASE

CONFIGMAP = f"{RELEASE}-describers"
POD_TEMPLATE = "worker-pod.json"

MODULE = "cluster.dev.describe_file"


def run(ctx: BuildContext, client: Client, uv: Path, describer: str, file: Path) -> int:
    """Describe the file and print the description; return the exit status.

    If `describer` is empty, the default Describer is used.
    """
    if not file.is_file():
        raise ClusterError(f"{file} is not a file")

    name = describer or _default_describer(client)
    template = json.loads(get(client, "configmap", CONFIGMAP)["data"][POD_TEMPLATE])
    spec = get(client, "describer", name)["spec"]
    if "sidecar" in spec:
        raise ClusterError(
            f"The Describer {name} has a sidecar, which exists only in its workers' pods"
        )

    base: Json = template["spec"]["containers"][0]
    container = {
        list_name: [*base.get(list_name, []), *spec.get(list_name, [])]
        for list_name in ("env", "envFrom")
    }
    fields = {"metadata.namespace": NAMESPACE}
    variables = PodEnvironment(client, fields).resolve(container)

    env = {**os.environ, **variables, **settings(name, spec)}
    return run_in_foreground(
        [uv, "run", "--frozen", "python", "-m", MODULE, file.resolve()], env, ctx
    )


def settings(name: str, spec: Json) -> dict[str, str]:
    """Return the variables with a Describer's settings, as the operator sets them for workers."""
    return {
        "DESCRIBER": name,
        "PROVIDER": spec.get("provider") or name,
        "MODEL": spec.get("model") or "",
        "DESCRIBER_OPTIONS": json.dumps(spec.get("options") or {}),
        "TIMEOUT_SECONDS": str(spec["timeoutSeconds"]),
    }


def _default_describer(client: Client) -> str:
    """Return the name of the Describer that is used if a request names none."""
    pod = get(client, "deployment", API.deployment)["spec"]["template"]["spec"]
    variables = {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}
    return str(variables["DEFAULT_DESCRIBER"])
