"""Tests of the rule that only the API, the operator and administrators set the label of owners."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest
from releases import ExtraRelease
from vision_node_contract.json_types import Json

OWNER = "vision-node.dev/owner"

USER = "--as=somebody@example.com"
"""May create and change ImageJobs and ImageBatches."""

ADMIN = "--as=admin@example.com"
"""May do everything with ImageJobs, and so also set the label of ImageBatches."""

VERBS = "create,get,update,patch,delete"

REFUSED = "may set, change or remove the label vision-node.dev/owner"


def owned(kind: str, owner: str | None) -> Json:
    """Return an object that stays as it is, because there is no such describer."""
    labels = {} if owner is None else {OWNER: owner}
    source = {"image": {"key": "inbox/none.jpg"}} if kind == "ImageJob" else {"prefix": "inbox/x/"}
    return {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "labeled", "labels": labels},
        "spec": {**source, "describer": "unknown"},
    }


@pytest.fixture(scope="module", autouse=True)
def users(closed: ExtraRelease) -> None:
    """Give the two users their rights."""
    both = "imagejobs.vision-node.dev,imagebatches.vision-node.dev"
    for name, verbs in (("changer", VERBS), ("admin", "*")):
        resources = "imagejobs.vision-node.dev" if verbs == "*" else both
        closed.kubectl("create", "role", name, f"--verb={verbs}", f"--resource={resources}")
    closed.kubectl("create", "rolebinding", "user", "--role=changer", "--user=somebody@example.com")
    for role in ("changer", "admin"):
        user = "--user=admin@example.com"
        closed.kubectl("create", "rolebinding", f"admin-{role}", f"--role={role}", user)


@pytest.fixture(params=["ImageJob", "ImageBatch"])
def kind(request: pytest.FixtureRequest, closed: ExtraRelease) -> Iterator[str]:
    """The kind of an object, which is deleted afterwards."""
    found: str = request.param
    yield found
    closed.kubectl("delete", found, "labeled", "--ignore-not-found")


@pytest.fixture
def create(closed: ExtraRelease, kind: str) -> Callable[[str, str | None], None]:
    """Return a function that creates the object as a user."""

    def run(user: str, owner: str | None) -> None:
        manifest = json.dumps(owned(kind, owner))
        closed.kubectl("create", "-f", "-", user, input=manifest, stderr=subprocess.STDOUT)

    return run


def label(closed: ExtraRelease, kind: str, user: str, value: str) -> None:
    """Set the label, or remove it with `owner-`."""
    arguments = ("label", "--overwrite", kind, "labeled", value, user)
    closed.kubectl(*arguments, stderr=subprocess.STDOUT)


def test_user_sets_no_owner(create: Callable[[str, str | None], None]) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        create(USER, "team")
    assert REFUSED in caught.value.output


@pytest.mark.parametrize("value", [f"{OWNER}=other", f"{OWNER}-"])
def test_user_changes_no_owner(
    closed: ExtraRelease, create: Callable[[str, str | None], None], kind: str, value: str
) -> None:
    create(ADMIN, "team")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        label(closed, kind, USER, value)
    assert REFUSED in caught.value.output
    label(closed, kind, USER, "color=red")
    label(closed, kind, ADMIN, value)


def test_user_takes_no_object_without_owner(
    closed: ExtraRelease, create: Callable[[str, str | None], None], kind: str
) -> None:
    create(USER, None)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        label(closed, kind, USER, f"{OWNER}=team")
    assert REFUSED in caught.value.output
