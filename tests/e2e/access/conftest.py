"""Fixtures: the release with access control, its administrator, and other clients with keys."""

import base64
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from conftest import FAST_DESCRIBER, NAMESPACE, Kubectl, wait_for
from releases import CHART, RELEASE, Helm, helm

__all__ = ["helm"]  # pytest looks up the fixture in this module

WAIT = ("--wait", "--wait-for-jobs", "--timeout", "180s")

ADMIN_SECRET = f"{RELEASE}-admin-key"
"""The Secret with the text of the first key."""

ROLLOUT_SECONDS = 60.0
"""How long replicas with the earlier settings may go on answering after an upgrade."""


class Secured(NamedTuple):
    """A release that wants to know who sends a request."""

    url: str
    admin_key: str


class Client(NamedTuple):
    """A client of the API with a key of its own."""

    key_id: str
    key: str
    http: httpx.Client


NewClient = Callable[..., Client]
"""Function that creates a key from members of the body of POST /keys."""


@pytest.fixture(scope="package")
def earlier_job(
    submit: Callable[..., str], ended: Callable[[str], dict[str, Any]], photo: Path
) -> str:
    """Describe an image before the release wants to know who sends a request."""
    job = submit(photo.read_bytes())
    assert ended(job)["status"] == "done"
    return job


@pytest.fixture(scope="package")
def secured_release(url: str, helm: Helm, kubectl: Kubectl, earlier_job: str) -> Iterator[Secured]:
    """Upgrade the release so that it wants keys, and downgrade it after the package's tests.

    An upgrade takes a few seconds, and a release of its own would take a minute. Tests of other
    packages send no keys, so the fixture must not live longer than the package.
    """
    set_auth(helm, enabled=True)
    try:
        wait_for(lambda: anonymous_status(url), lambda status: status == 401, ROLLOUT_SECONDS)
        yield Secured(url, read_admin_key(kubectl))
    finally:
        set_auth(helm, enabled=False)
        wait_for(lambda: anonymous_status(url), lambda status: status == 200, ROLLOUT_SECONDS)


def set_auth(helm: Helm, *, enabled: bool) -> None:
    """Upgrade the release with or without access control, and keep its other values."""
    value = f"auth.enabled={str(enabled).lower()}"
    helm("upgrade", RELEASE, CHART, "-n", NAMESPACE, "--reuse-values", "--set", value, *WAIT)


def anonymous_status(url: str) -> int:
    """Return the status of the response to a request without a key."""
    return httpx.get(f"{url}/limits", timeout=10).status_code


def read_admin_key(kubectl: Kubectl) -> str:
    """Return the first key, as the documentation says."""
    encoded = kubectl("get", "secret", ADMIN_SECRET, "-o", "jsonpath={.data.key}")
    return base64.b64decode(encoded).decode()


def client_with(url: str, key: str) -> httpx.Client:
    """Return an HTTP client that sends a key with each request."""
    return httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture(scope="package")
def admin(secured_release: Secured) -> Iterator[httpx.Client]:
    """An HTTP client with the first key."""
    with client_with(*secured_release) as client:
        yield client


@pytest.fixture
def new_client(secured_release: Secured, admin: httpx.Client) -> Iterator[NewClient]:
    """Return a function that creates a key. All keys are revoked after the test."""
    with ExitStack() as stack:

        def create(**members: object) -> Client:
            name = f"test-{uuid.uuid4().hex[:12]}"
            answer = admin.post("/keys", json={"name": name, **members})
            assert answer.status_code == 201, answer.text

            made = answer.json()
            stack.callback(admin.delete, f"/keys/{made['id']}")
            http = stack.enter_context(client_with(secured_release.url, made["key"]))
            # The other replicas learn of the key by their watches.
            wait_for(lambda: http.get("/whoami").status_code, lambda status: status == 200)
            return Client(made["id"], made["key"], http)

        yield create


def submit_as(http: httpx.Client, data: bytes, **fields: str) -> httpx.Response:
    """Submit an image with the client's key, to the fast describer if the fields name none."""
    form = {"describer": FAST_DESCRIBER, **fields}
    return http.post("/submit", files={"file": ("image.jpg", data)}, data=form)
