"""Tests of the components' permissions in the bucket, and of the removal of former users."""

import fnmatch

import pytest
from vision_node_operator.storage_setup import RIGHTS, former_users, policy

GET, PUT, DELETE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"

ALLOWED: dict[tuple[str, str], set[str]] = {
    ("api", "images/a"): {GET, PUT, DELETE},
    ("api", "inbox/holiday/a"): {GET, PUT, DELETE},
    ("api", "results/u/1"): {GET},
    ("operator", "images/a"): {DELETE},
    ("operator", "inbox/holiday/a"): {DELETE},
    ("operator", "results/u/1"): {DELETE},
    ("describer", "images/a"): {GET},
    ("describer", "inbox/holiday/a"): {GET},
    ("describer", "results/u/1"): {PUT},
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
