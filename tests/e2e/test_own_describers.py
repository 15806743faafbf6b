"""Tests of custom describers: one in a sidecar container, and one in a Python class."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
from conftest import Kubectl, wait_for
from test_describers import Apply, Json, api_image, apply, workers

__all__ = ["apply"]  # pytest looks up the fixture in this module

EXAMPLES = Path("describer/examples")


def test_sidecar_describes_without_token_or_credentials(
    kubectl: Kubectl,
    apply: Apply,
    api: httpx.Client,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    imagejob: Callable[[str], Json],
) -> None:
    server = (EXAMPLES / "own-container/server.py").read_text()
    sidecar = {"image": api_image(kubectl), "command": ["python", "-c", server]}
    apply("own", provider="http", sidecar=sidecar, minWorkers=1)

    status = ended(submit(photo.read_bytes(), describer="own", prompt="Grüße?"))
    assert status["status"] == "done", status
    description = api.get(f"/result/{status['job_id']}").json()["description"]
    assert description.endswith("You asked: Grüße?")

    name = imagejob(status["job_id"])["status"]["worker"]
    pod = json.loads(kubectl("get", "pod", name, "-o", "json"))
    find_secrets = (
        "import glob, os;"
        "print(glob.glob('/var/run/secrets/**/token', recursive=True),"
        " [n for n in os.environ if 'S3' in n])"
    )
    in_sidecar = kubectl("exec", name, "-c", "sidecar", "--", "python", "-c", find_secrets)
    assert in_sidecar.strip() == "[] []"
    in_worker = kubectl("exec", name, "-c", "worker", "--", "python", "-c", find_secrets)
    assert "token" in in_worker
    assert "S3_SECRET_KEY" in in_worker

    (sidecar_status,) = pod["status"]["initContainerStatuses"]
    assert sidecar_status["restartCount"] == 0
    kubectl("delete", "describer", "own")
    wait_for(lambda: workers(kubectl, "own"), lambda remaining: not remaining)


def test_custom_class_describes_images(
    apply: Apply,
    api: httpx.Client,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
) -> None:
    """Write the class to a folder from which Python imports it, to avoid building an image."""
    start = (
        "import os, pathlib, runpy, sys;"
        "pathlib.Path('/tmp/brightness.py').write_text(os.environ['SOURCE']);"
        "sys.path.append('/tmp');"
        "runpy.run_module('vision_node_describer', run_name='__main__')"
    )
    source = (EXAMPLES / "own-class/brightness.py").read_text()
    env = [{"name": "SOURCE", "value": source}]

    apply("bright", provider="brightness:Brightness", command=["python", "-c", start], env=env)
    status = ended(submit(photo.read_bytes(), describer="bright"))

    assert status["status"] == "done", status
    assert api.get(f"/result/{status['job_id']}").json()["tags"] in (["light"], ["dark"])


def test_sidecar_is_refused_unless_the_provider_is_http(refused: Callable[..., str]) -> None:
    body = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": "odd"},
    }
    spec = {"provider": "metadata", "sidecar": {"image": "mine:1"}}

    assert "provider: http" in refused(
        "create", "-f", "-", input=json.dumps({**body, "spec": spec})
    )
