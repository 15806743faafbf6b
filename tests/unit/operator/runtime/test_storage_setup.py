"""Tests of the components' permissions in the bucket, and of the removal of former users."""

import fnmatch
import json
from typing import Any

import pytest
import urllib3
from vision_node_contract.clients.bucket import BucketSettings
from vision_node_operator import storage_setup
from vision_node_operator.storage_setup import (
    RIGHTS,
    former_users,
    make_users,
    policy,
    rights_of,
)

GET, PUT, DELETE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
ABORT = "s3:AbortMultipartUpload"

ALLOWED: dict[tuple[str, str], set[str]] = {
    ("api", "images/a"): {GET, PUT, DELETE},
    ("api", "inbox/holiday/a"): {GET, PUT, DELETE},
    ("api", "results/u/1"): {GET},
    ("api", "batches/id/1f/index/000000000"): {GET},
    ("api", "batches/id/1f/results/000000000-2e-1"): {GET},
    ("api", "batches/id/1f/u/first/p000000000"): {GET, PUT, DELETE, ABORT},
    ("api", "batches/1f/u/i/YQ."): {GET, PUT, DELETE, ABORT},
    ("api", "batches/id/1f/m1/000000000"): {GET},
    ("operator", "batches/id/1f/u/first/p000000000"): set(),
    ("archiver", "batches/id/1f/u/first/p000000000"): {GET, PUT, DELETE},
    ("describer", "batches/id/1f/u/first/p000000000"): {GET},
    ("describer", "batches/id/1f/u/my-attempt/zip"): {GET},
    ("describer", "batches/id/1f/u/i/bQ."): {GET},
    ("operator", "images/a"): {DELETE},
    ("operator", "inbox/holiday/a"): {DELETE},
    ("operator", "results/u/1"): {DELETE},
    ("operator", "batches/id/1f/index/000000000"): {GET, PUT},
    ("operator", "batches/id/1f/results/000000000-2e-1"): set(),
    ("operator", "batches/id/1f/m1/000000000"): set(),
    ("operator", "owners/id"): {GET, PUT},
    ("archiver", "images/a"): {DELETE},
    ("archiver", "inbox/holiday/a"): {GET},
    ("archiver", "results/u/1"): {GET, DELETE},
    ("archiver", "batches/id/1f/m1/000000000"): {GET, PUT, DELETE},
    ("archiver", "batches/id/1f/index/000000000"): {GET, PUT, DELETE},
    ("archiver", "owners/id"): {GET, PUT},
    ("describer", "images/a"): {GET},
    ("describer", "inbox/holiday/a"): {GET},
    ("describer", "results/u/1"): {PUT},
    ("describer", "batches/id/1f/m1/000000000"): {GET},
    ("describer", "batches/1f/m1/000000000"): {GET},
    ("describer", "batches/mid/1f/results/000000000-2e-1"): {PUT},
    ("describer", "batches/id/1f/checkpoints/000000000"): {GET, PUT},
    ("describer", "batches/mid/1f/index/000000000"): set(),
    ("describer", "batches/id/1f/a"): set(),
    ("describer", "owners/id"): set(),
    **{(user, key): set() for user in RIGHTS for key in ("a", "inbox", "inboxes/a", "image/a")},
}


def actions(user: str, resource: str) -> set[str]:
    """Return the actions that the user's policy allows on a resource."""
    statements = policy("bucket", RIGHTS[user])["Statement"]
    matching = [
        it for it in statements if any(fnmatch.fnmatchcase(resource, r) for r in it["Resource"])
    ]
    assert all(it["Effect"] == "Allow" for it in matching)
    return {action for it in matching for action in it["Action"]}


@pytest.mark.parametrize(("user", "key"), ALLOWED)
def test_policy_allows_only_the_components_actions(user: str, key: str) -> None:
    assert actions(user, f"arn:aws:s3:::bucket/{key}") == ALLOWED[user, key]


@pytest.mark.parametrize(
    ("environment", "deletes"),
    [
        ({"ARCHIVES_IMAGEJOBS": "true", "ARCHIVER_SECRET_KEY": "secret"}, False),
        # The archiver of an older chart does not delete them.
        ({"ARCHIVER_SECRET_KEY": "secret"}, True),
        # Nobody else has the right to.
        ({"ARCHIVES_IMAGEJOBS": "true"}, True),
    ],
)
def test_operator_may_delete_images_and_results_only_if_the_archiver_does_not(
    environment: dict[str, str], *, deletes: bool
) -> None:
    rights = rights_of("operator", environment)
    expected = [DELETE] if deletes else None
    assert (rights.get("images/"), rights.get("results/")) == (expected, expected)
    assert rights["inbox/"] == [DELETE]
    assert rights_of("archiver", environment) == RIGHTS["archiver"]


@pytest.mark.parametrize("user", RIGHTS)
def test_policy_allows_listing_only_the_projects_bucket(user: str) -> None:
    assert actions(user, "arn:aws:s3:::bucket") == {"s3:ListBucket"}
    assert actions(user, "arn:aws:s3:::another") == set()


def test_user_with_the_policy_but_another_access_key_is_a_former_user() -> None:
    """When access keys are replaced, the old ones must stop working: they may have leaked."""
    users = {
        "api": {"policyName": "vision-node-api", "status": "enabled"},
        "api-0a1b": {"policyName": "vision-node-api", "status": "enabled"},
        "operator-0a1b": {"policyName": "vision-node-operator", "status": "enabled"},
        "mine": {"policyName": "vision-node-api,readwrite", "status": "enabled"},
        "another": {"status": "enabled"},
    }
    assert former_users(users, "vision-node-api", "api-0a1b") == ["api"]
    assert former_users(users, "vision-node-operator", "operator-0a1b") == []


class FakeAdmin:
    """A fake of MinIO's admin client that records the users that are created."""

    users: dict[str, str]

    def __init__(self, **_: Any) -> None:
        FakeAdmin.users = {}

    def policy_add(self, name: str, *, policy: Any) -> None:
        assert policy["Statement"], name

    def user_add(self, access_key: str, secret_key: str) -> None:
        self.users[access_key] = secret_key

    def policy_set(self, name: str, *, user: str) -> None:
        assert user in self.users, name

    def user_list(self) -> str:
        return json.dumps({})


SETTINGS = BucketSettings("store:9000", "vision-node", "root", "root-secret", secure=False)


def set_keys(monkeypatch: pytest.MonkeyPatch, *components: str) -> None:
    monkeypatch.setattr(storage_setup, "MinioAdmin", FakeAdmin)
    for component in RIGHTS:
        for kind in ("ACCESS", "SECRET"):
            name = f"{component.upper()}_{kind}_KEY"
            monkeypatch.delenv(name, raising=False)
            if component in components:
                monkeypatch.setenv(name, f"{component}-{kind.lower()}")


@pytest.mark.parametrize("components", [[*RIGHTS], ["api", "operator", "describer"]])
def test_only_the_user_of_the_archiver_may_be_missing(
    components: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older charts, and Secrets that were made for them, have no keys of the archiver."""
    set_keys(monkeypatch, *components)
    make_users(SETTINGS, urllib3.PoolManager())
    assert FakeAdmin.users == {f"{it}-access": f"{it}-secret" for it in components}


def test_missing_keys_of_another_user_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch, "api", "archiver", "describer")
    with pytest.raises(KeyError, match="OPERATOR_SECRET_KEY"):
        make_users(SETTINGS, urllib3.PoolManager())
