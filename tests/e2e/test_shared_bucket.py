"""Tests of a second release in the bucket of the first one, with keys that have few rights.

The policies of its keys are the ones in docs/clusters.md. They allow only its own folders.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import NAMESPACE, Kubectl, wait_for
from pytest_kind import KindCluster
from releases import ExtraRelease, Helm, extra_release, helm
from sweeps import sweep
from vision_node_contract.json_types import Json

__all__ = ["helm"]  # pytest looks up the fixture in this module

RELEASE_ID = "sharedbucket"
SECRET = "storage-of-the-other"  # noqa: S105 (a name)
USERS = ("api", "operator", "archiver", "describer")
MARKER = f"owners/{RELEASE_ID}"

MAKE_USERS = """
import json, sys, urllib3
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin
told = json.load(sys.stdin)
provider = StaticProvider(*told["root"])
admin = MinioAdmin(
    endpoint=told["endpoint"],
    credentials=provider,
    secure=False,
    http_client=urllib3.PoolManager(),
)
for user, policy in told["users"].items():
    admin.policy_add(f"other-{user}", policy=policy)
    admin.user_add(f"other-{user}", told["secret"])
    admin.policy_set(f"other-{user}", user=f"other-{user}")
"""

IN_BUCKET = """
import asyncio, dataclasses, json, sys
from vision_node_contract.clients.bucket import Bucket, BucketSettings
told = json.load(sys.stdin)
async def main():
    access, secret = told["root"]
    keys = {"access_key": access, "secret_key": secret, "keyless": False}
    settings = dataclasses.replace(BucketSettings.from_env(), **keys)
    async with Bucket.open(settings) as bucket:
        for key, text in told["put"].items():
            await bucket.put(key, text.encode(), "image/png")
        for key in told["delete"]:
            await bucket.delete(key)
        pages = [page async for page in bucket.list_all("")]
    print(json.dumps([it.key for page in pages for it in page]))
asyncio.run(main())
"""
"""Program that stores and deletes objects as root, and then prints all keys."""


FOLDERS = ("images", "inbox", "results", "batches")


def policy(actions: dict[str, list[str]]) -> Json:
    """Return a policy that allows these actions by folder, and to list the release's folders.

    The condition is the one for MinIO in docs/clusters.md.
    """
    arn = "arn:aws:s3:::vision-node"
    folders = [f"{folder}/{RELEASE_ID}/*" for folder in FOLDERS]
    listing = {
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [arn],
        "Condition": {"StringLike": {"s3:prefix": folders}},
    }
    objects = [
        {
            "Effect": "Allow",
            "Action": [f"s3:{action}Object" for action in allowed],
            "Resource": [f"{arn}/{folder}"],
        }
        for folder, allowed in actions.items()
    ]
    return {"Version": "2012-10-17", "Statement": [listing, *objects]}


IMAGES, INBOX, RESULTS, BATCHES = (f"{it}/{RELEASE_ID}/*" for it in FOLDERS)

POLICIES = {
    "api": policy(
        {
            IMAGES: ["Get", "Put", "Delete"],
            INBOX: ["Get", "Put", "Delete"],
            RESULTS: ["Get"],
            BATCHES: ["Get"],
            f"{BATCHES}/u/*": ["Put", "Delete"],
            MARKER: ["Get"],
        }
    ),
    "operator": policy(
        {
            INBOX: ["Delete"],
            f"{BATCHES}/index/*": ["Get", "Put"],
            MARKER: ["Get", "Put"],
        }
    ),
    "archiver": policy(
        {
            IMAGES: ["Delete"],
            INBOX: ["Get"],
            RESULTS: ["Get", "Delete"],
            BATCHES: ["Get", "Put", "Delete"],
            MARKER: ["Get", "Put"],
            f"{MARKER}.history": ["Get", "Put"],
        }
    ),
    "describer": policy(
        {
            IMAGES: ["Get"],
            INBOX: ["Get"],
            RESULTS: ["Put"],
            f"{BATCHES}/m*/*": ["Get"],
            f"{BATCHES}/results/*": ["Put"],
            f"{BATCHES}/checkpoints/*": ["Get", "Put"],
            f"{BATCHES}/u/*": ["Get"],
        }
    ),
}
"""Policies by component, as in docs/clusters.md."""


class Store:
    """The bucket of the first release, with root's access."""

    def __init__(self, kubectl: Kubectl, root: tuple[str, str]) -> None:
        self._kubectl = kubectl
        self._root = root

    def change(self, *, put: tuple[str, ...] = (), delete: tuple[str, ...] = ()) -> set[str]:
        """Store and delete objects, and return all keys in the bucket."""
        told = {"root": self._root, "put": dict.fromkeys(put, "x"), "delete": delete}
        return self._run(IN_BUCKET, told)

    def mark(self, text: str) -> None:
        """Overwrite the second release's marker."""
        self._run(IN_BUCKET, {"root": self._root, "put": {MARKER: text}, "delete": []})

    def make_users(self, secret: str) -> None:
        """Create the users of the second release, all with the same secret key."""
        told = {"root": self._root, "endpoint": "vision-node-minio:9000", "secret": secret}
        command = ("exec", "-i", "deploy/vision-node-operator", "--", "python", "-c", MAKE_USERS)
        self._kubectl(*command, input=json.dumps({**told, "users": POLICIES}))

    def _run(self, program: str, told: Json) -> set[str]:
        command = ("exec", "-i", "deploy/vision-node-api", "--", "python", "-c", program)
        return set(json.loads(self._kubectl(*command, input=json.dumps(told))))


@pytest.fixture(scope="module")
def store(kubectl: Kubectl, helm: Helm) -> Store:
    path = "go-template={{index .data %r | base64decode}}"
    names = ('"root-access-key"', '"root-secret-key"')
    access, secret = (
        kubectl("get", "secret", "vision-node-storage", "-o", path.replace("%r", name))
        for name in names
    )
    return Store(kubectl, (access, secret))


@pytest.fixture(scope="module")
def second(
    helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster, store: Store
) -> Iterator[ExtraRelease]:
    """Install a second release in the first one's bucket. Its identity exists already."""
    with extra_release("shared-test", helm, kubectl, kind_cluster) as extra:
        keys = {f"{user}-access-key": f"other-{user}" for user in USERS}
        keys |= {f"{user}-secret-key": "not-so-secret" for user in USERS}
        store.make_users("not-so-secret")
        # An earlier run in this cluster has left its marker and its images.
        left = {key for key in store.change() if RELEASE_ID in key.split("/")}
        store.change(delete=tuple(left))
        extra.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"{extra.prefix}-identity"},
                "data": {"id": RELEASE_ID},
            },
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SECRET},
                "stringData": keys,
            },
        )
        endpoint = f"vision-node-minio.{NAMESPACE}.svc:9000"
        storage = {"endpoint": endpoint, "secure": False, "existingSecret": SECRET}
        extra.install({"storage": storage})
        yield extra


def readiness(release: ExtraRelease) -> Json:
    """Return the API's answer to /readyz; {} while it does not answer."""
    service = f"services/{release.prefix}-api:http"
    path = f"/api/v1/namespaces/{release.namespace}/{service}/proxy/readyz"
    try:
        found: Json = json.loads(release.kubectl("get", "--raw", path))
    except subprocess.CalledProcessError:
        return {}

    return found


def test_second_release_works_with_keys_for_its_own_folders(second: ExtraRelease) -> None:
    assert "64x48 pixels" in second.run_helm_test()


def test_each_release_sweeps_only_its_own_folders(
    second: ExtraRelease,
    store: Store,
    kubectl: Kubectl,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    photo: Any,
) -> None:
    ended(submit(photo.read_bytes()))
    # Right after its start, a release may not have written its marker yet. A sweep does that, too.
    assert sweep(kubectl, "vision-node") == "swept"
    assert sweep(second.kubectl, second.prefix) == "swept"

    first_id = kubectl("get", "configmap", "vision-node-identity", "-o", "jsonpath={.data.id}")
    folders = ("images", "results", "inbox")
    foreign = {"images/foreign", "results/foreign/1", "inbox/foreign", "backup/images/1"}
    orphans = {
        release: {f"{folder}/{release}/orphan" for folder in folders}
        for release in (first_id, RELEASE_ID)
    }

    try:
        all_orphans = orphans[first_id] | orphans[RELEASE_ID]
        keys = store.change(put=(*foreign, *all_orphans))
        assert sweep(kubectl, "vision-node") == "swept"
        assert store.change() == keys - orphans[first_id]

        assert sweep(second.kubectl, second.prefix) == "swept"
        assert store.change() == keys - all_orphans
    finally:
        store.change(delete=tuple(foreign))


def test_folders_of_another_owner_are_not_swept_until_they_are_adopted(
    second: ExtraRelease, store: Store
) -> None:
    orphan = f"images/{RELEASE_ID}/orphan"
    store.mark('{"uid": "uid-of-another"}')
    store.change(put=(orphan,))

    assert sweep(second.kubectl, second.prefix) == "StorageNotOurs"
    assert orphan in store.change()

    # The API checks the owner when it starts, and then once a minute.
    second.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=api")
    state = wait_for(lambda: readiness(second), lambda found: "ownership" in found)
    assert (state["status"], state["ownership"]) == ("ready", "StorageNotOurs")

    annotation = "vision-node.dev/adopt=uid-of-another"
    second.kubectl("annotate", "configmap", f"{second.prefix}-identity", annotation)
    assert sweep(second.kubectl, second.prefix) == "swept"
    assert orphan not in store.change()
