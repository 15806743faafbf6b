"""Tests of turning API keys on in a running release: nothing is lost, and no step is manual."""

import base64
from pathlib import Path
from typing import Any

import httpx
from conftest import FAST_DESCRIBER, Forwarded, wait_for
from releases import ExtraRelease

from api_keys.conftest import CLOSED

JOBS = 8


def test_jobs_are_described_while_the_release_is_closed(
    closing: ExtraRelease, forwarded: Forwarded, photo: Path
) -> None:
    with forwarded(closing.namespace, f"{closing.prefix}-api") as api:
        files, data = {"file": photo.read_bytes()}, {"describer": FAST_DESCRIBER}
        answers = [api.post("/submit", files=files, data=data) for _ in range(JOBS)]
        jobs = {answer.json()["job_id"] for answer in answers}

    closing.install(CLOSED)
    phases = "jsonpath={.items[*].status.phase}"
    wait_for(
        lambda: closing.kubectl("get", "imagejobs", "-o", phases).split(),
        lambda found: found == ["done"] * JOBS,
    )
    names = closing.kubectl("get", "imagejobs", "-o", "jsonpath={.items[*].metadata.name}")
    assert {*names.split()} == jobs


def test_api_needs_the_first_key(closed_api: httpx.Client, admin_key: str) -> None:
    refused = closed_api.get("/jobs")
    assert (refused.status_code, refused.json()["reason"]) == (401, "Unauthenticated")

    headers = {"Authorization": f"Bearer {admin_key}"}
    assert len(closed_api.get("/jobs", headers=headers).json()["jobs"]) >= JOBS
    found = closed_api.get("/whoami", headers=headers).json()
    assert (found["subject"], found["scopes"]) == ("admin", ["admin"])


def test_helm_test_describes_a_picture_with_the_first_key(closed: ExtraRelease) -> None:
    assert "64x48 pixels" in closed.run_helm_test()


def test_another_upgrade_keeps_the_keys(closed: ExtraRelease, admin_key: str) -> None:
    def secrets() -> Any:
        names = (f"{closed.prefix}-api-keys", f"{closed.prefix}-admin-key")
        return [closed.secret(name) for name in names]

    before = secrets()
    closed.install()  # everyone may use it again
    closed.install(CLOSED)
    assert secrets() == before


def test_another_first_key_is_made_on_demand(
    closed: ExtraRelease, closed_api: httpx.Client, admin_key: str
) -> None:
    """An administrator who has lost all keys gets one without revoking those of others."""
    mark = "vision-node.dev/first-key=wanted"
    closed.kubectl("annotate", "--overwrite", "secret", f"{closed.prefix}-api-keys", mark)
    closed.install(CLOSED)

    made = base64.b64decode(closed.secret(f"{closed.prefix}-admin-key")["key"]).decode()
    assert made != admin_key
    for key in (made, admin_key):
        headers = {"Authorization": f"Bearer {key}"}
        wait_for(
            lambda headers=headers: closed_api.get("/whoami", headers=headers).status_code,
            lambda status: status == 200,
        )
