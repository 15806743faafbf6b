"""Tests of turning access control on: earlier jobs survive, and no secret gets anywhere."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import NAMESPACE, Kubectl, wait_for
from faults.database.psql import DATABASE
from history.release_history import ReleaseHistory

from access.conftest import NewClient, Secured, submit_as

Read = Callable[[], str]
METRICS_PORT = 9090


@pytest.fixture(scope="module")
def history(kubectl: Kubectl, admin: httpx.Client) -> ReleaseHistory:
    """Return the release's history, as its administrator sees it."""
    return ReleaseHistory(kubectl, admin)


def test_earlier_job_survives_and_belongs_to_the_administrators(
    admin: httpx.Client, new_client: NewClient, earlier_job: str
) -> None:
    for path in (f"/status/{earlier_job}", f"/result/{earlier_job}", f"/jobs/{earlier_job}"):
        assert admin.get(path).status_code == 200

    http = new_client().http
    for path in (f"/status/{earlier_job}", f"/result/{earlier_job}", f"/jobs/{earlier_job}"):
        foreign, unknown = http.get(path), http.get(path.replace(earlier_job, "job-unknown"))
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json()["reason"] == unknown.json()["reason"]


def test_images_can_not_be_read_without_a_key(
    secured_release: Secured, admin: httpx.Client, earlier_job: str
) -> None:
    for what in ("image", "thumbnail"):
        path = f"/jobs/{earlier_job}/{what}"
        answer = httpx.get(f"{secured_release.url}{path}")
        assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthenticated")
        assert admin.get(path).status_code != 401


def test_describer_is_known_to_every_client(new_client: NewClient) -> None:
    http = new_client(scopes=["read"]).http
    assert http.get("/describers").status_code == 200
    assert http.get("/limits").json()["authentication"] is True


def places(kubectl: Kubectl, history: ReleaseHistory) -> dict[str, Read]:
    """Return functions that read all places that a secret must not reach."""
    kinds = "imagejobs,imagebatches,describers,events,configmaps,leases"
    return {
        "objects": lambda: kubectl("get", kinds, "-o", "json"),
        "logs": lambda: logs(kubectl),
        "metrics": lambda: metrics(kubectl),
        "the history": lambda: dump(history),
        "keys of the bucket's objects": lambda: "\n".join(sorted(history.objects())),
        "the Secret with the hashes": lambda: secret_text(kubectl, "vision-node-api-keys"),
    }


def logs(kubectl: Kubectl) -> str:
    options = ("--all-containers", "--prefix", "--tail=-1", "--max-log-requests=50")
    return kubectl("logs", "--selector", "app.kubernetes.io/name=vision-node", *options)


def metrics(kubectl: Kubectl) -> str:
    """Return the metrics of all components."""
    selector = "app.kubernetes.io/component in (api,operator,archiver)"
    running = "--field-selector=status.phase=Running"
    names = kubectl("get", "pods", "-l", selector, running, "-o", "name").split()
    root = f"/api/v1/namespaces/{NAMESPACE}/pods"
    paths = [f"{root}/{it.removeprefix('pod/')}:{METRICS_PORT}/proxy/metrics" for it in names]
    return "\n".join(kubectl("get", "--raw", path) for path in paths)


def dump(history: ReleaseHistory) -> str:
    return history.in_postgres("pg_dump", "--username=postgres", "--inserts", DATABASE)


def secret_text(kubectl: Kubectl, name: str) -> str:
    data: dict[str, str] = json.loads(kubectl("get", "secret", name, "-o", "json"))["data"]
    return "\n".join(base64.b64decode(value).decode("latin-1") for value in data.values())


def test_no_key_and_no_session_gets_anywhere(
    secured_release: Secured,
    new_client: NewClient,
    kubectl: Kubectl,
    history: ReleaseHistory,
    photo: Path,
) -> None:
    client = new_client(owner="canary-owner")
    wrong = f"vn_{client.key_id}_{'canary' * 8}aaaa"
    job = submit_as(client.http, photo.read_bytes()).json()["job_id"]
    session = use_everywhere(secured_release.url, client.key, wrong, job)
    assert ended(client.http, job)["status"] == "done"
    wait_for(lambda: dump(history), lambda text: job in text)

    secrets = (client.key.rpartition("_")[2], wrong.rpartition("_")[2], session, session[3:40])
    for place, read in places(kubectl, history).items():
        text = read()
        assert len(text) > 100, f"{place} could not be read"
        assert [it for it in secrets if it in text] == [], f"a secret is in {place}"


def use_everywhere(url: str, key: str, wrong: str, job: str) -> str:
    """Send a key, a wrong key and a session in valid and invalid requests. Return the session."""
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as http:
        for given in (key, wrong):
            for path in (
                f"/status/{job}",
                "/jobs",
                "/nothing",
                f"/jobs/{given}",
                f"/jobs?q={given}",
            ):
                http.get(path, headers={"Authorization": f"Bearer {given}"})
            http.post("/submit", content=b"x", headers={"Authorization": f"Bearer {given}"})
            http.get("/jobs", headers={"Authorization": f"Basic {given}"})
            http.post("/session", json={"key": given, "other": given})
            http.post("/session", content=given.encode())

        session = http.cookies["vision_node_session"]
        for path in ("/whoami", f"/result/{job}", "/nothing"):
            http.get(path)
        http.post("/submit", content=b"x")
        return session


def ended(http: httpx.Client, job: str) -> dict[str, Any]:
    """Wait until a job has ended, and return its status."""
    return wait_for(
        lambda: http.get(f"/status/{job}").json(), lambda it: it["status"] in {"done", "failed"}
    )
