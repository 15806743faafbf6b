"""Tests of tokens of service accounts, whose rights are those of RBAC in the namespace."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import wait_for
from releases import ExtraRelease

ACCOUNTS = {"submitter": ["submit"], "reader": ["read"], "admin": ["admin"], "nobody": []}
"""Scopes by the service account, which has the name of its Role."""


@pytest.fixture(scope="module")
def accounts(closed: ExtraRelease) -> None:
    """Create the service accounts, and bind the chart's Roles to them."""
    for name, scopes in ACCOUNTS.items():
        closed.kubectl("create", "serviceaccount", name)
        if scopes:
            role = f"--role={closed.prefix}-{name}"
            account = f"--serviceaccount={closed.namespace}:{name}"
            closed.kubectl("create", "rolebinding", name, role, account)


def headers(closed: ExtraRelease, account: str, *options: str) -> dict[str, str]:
    token = closed.kubectl("create", "token", account, *options).strip()
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("account", ["submitter", "reader", "admin"])
def test_roles_of_the_chart_give_scopes(
    closed: ExtraRelease, closed_api: httpx.Client, account: str
) -> None:
    found = closed_api.get(
        "/whoami", headers=headers(closed, account, "--audience", "vision-node")
    ).json()
    assert found["owner"] == f"sa-{closed.namespace}.{account}"
    assert {*ACCOUNTS[account]} <= {*found["scopes"]}
    assert ("admin" in found["scopes"]) == (account == "admin")


@pytest.mark.usefixtures("accounts")
def test_token_for_the_api_server_is_refused(
    closed: ExtraRelease, closed_api: httpx.Client
) -> None:
    answer = closed_api.get("/whoami", headers=headers(closed, "admin"))
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthenticated")


@pytest.mark.usefixtures("accounts")
def test_submitter_submits_and_reader_may_not(
    closed: ExtraRelease, closed_api: httpx.Client, photo: Path
) -> None:
    def submitted(account: str) -> Any:
        access = headers(closed, account, "--audience", "vision-node")
        return closed_api.post("/submit", files={"file": photo.read_bytes()}, headers=access)

    answer = submitted("submitter")
    assert answer.status_code == 202
    owner = "jsonpath={.metadata.labels.vision-node\\.dev/owner}"
    job = answer.json()["job_id"]
    found = wait_for(
        lambda: closed.kubectl("get", "imagejob", job, "-o", owner), lambda it: it != ""
    )
    assert found == f"sa-{closed.namespace}.submitter"

    for account in ("reader", "nobody"):
        refused = submitted(account)
        assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
