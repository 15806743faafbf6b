"""Tests of the marker that says which release owns the folders in the bucket."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from fakes.s3 import RELEASE_ID, S3, Conditions
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.ownership import (
    Identity,
    NotOursError,
    claim_ownership,
    read_identity,
    require_ownership,
)

MARKER = f"owners/{RELEASE_ID}"
IDENTITY = Identity("vision-node-identity", "vision-node", "uid-1", RELEASE_ID)


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


def marker_of(s3: S3) -> str:
    uid: str = json.loads(s3.objects[MARKER].data)["uid"]
    return uid


def put_marker(s3: S3, uid: str) -> None:
    s3.put(MARKER, json.dumps({"uid": uid}).encode())


async def claim(bucket: Bucket, identity: Identity = IDENTITY) -> None:
    await claim_ownership(bucket, identity)


async def test_first_release_claims_its_folders(s3: S3, bucket: Bucket) -> None:
    await claim(bucket)
    assert marker_of(s3) == "uid-1"

    before = s3.objects[MARKER]
    await claim(bucket)
    assert s3.objects[MARKER] is before


@pytest.mark.parametrize("owner", ["uid-2", "unreadable"])
async def test_folders_of_another_owner_are_not_claimed(s3: S3, bucket: Bucket, owner: str) -> None:
    s3.put(MARKER, b"\xff" if owner == "unreadable" else b'{"uid": "uid-2"}')
    before = s3.objects[MARKER]
    for check in (claim_ownership, require_ownership):
        with pytest.raises(NotOursError, match=f"annotate --overwrite configmap .*={owner}$"):
            await check(bucket, IDENTITY)
    assert s3.objects[MARKER] is before


async def test_advised_command_takes_the_folders_over(s3: S3, bucket: Bucket) -> None:
    put_marker(s3, "uid-2")
    with pytest.raises(NotOursError) as caught:
        await claim(bucket)

    found = re.search(r"vision-node\.dev/adopt=(\S+)$", str(caught.value))
    assert found
    await claim(bucket, replace(IDENTITY, adopts=found[1]))
    assert marker_of(s3) == "uid-1"


async def test_forgotten_annotation_does_not_replace_another_owner(s3: S3, bucket: Bucket) -> None:
    put_marker(s3, "uid-3")
    with pytest.raises(NotOursError, match="uid-3"):
        await claim(bucket, replace(IDENTITY, adopts="uid-2"))
    assert marker_of(s3) == "uid-3"


@pytest.mark.parametrize("conditions", ["kept", "ignored", "unknown"])
async def test_only_one_of_two_releases_gets_the_folders(
    s3: S3, bucket: Bucket, conditions: Conditions
) -> None:
    """The second release writes its marker between the first release's two requests."""
    s3.conditions = conditions

    async def other_release_is_faster(_: str) -> None:
        put_marker(s3, "uid-2")

    s3.before_put = other_release_is_faster
    if conditions == "kept":
        with pytest.raises(NotOursError):
            await claim(bucket)
    else:
        await claim(bucket)  # the last writer wins, and the other release notices that

    winner = marker_of(s3)
    loser = replace(IDENTITY, uid="uid-1" if winner == "uid-2" else "uid-2")
    with pytest.raises(NotOursError):
        await claim(bucket, loser)


async def test_missing_marker_of_another_owner_is_not_claimed(s3: S3, bucket: Bucket) -> None:
    """Someone may have deleted it, for example by a lifecycle rule."""
    with pytest.raises(NotOursError, match="adopt=missing"):
        await claim_ownership(bucket, IDENTITY, may_create=False)
    assert not s3.objects

    adopting = replace(IDENTITY, adopts="missing")
    await claim_ownership(bucket, adopting, may_create=False)
    assert marker_of(s3) == "uid-1"


async def test_empty_id_is_not_ours(bucket: Bucket) -> None:
    bucket.folders = BucketFolders()
    for check in (claim_ownership, require_ownership):
        with pytest.raises(NotOursError):
            await check(bucket, replace(IDENTITY, release_id=""))


async def test_api_never_writes_the_marker(s3: S3, bucket: Bucket) -> None:
    await require_ownership(bucket, IDENTITY)
    assert not s3.objects


async def test_replaced_identity_is_noticed(s3: S3, bucket: Bucket) -> None:
    for check in (claim_ownership, require_ownership):
        with pytest.raises(NotOursError, match="restart the pods"):
            await check(bucket, replace(IDENTITY, release_id="ddddeeeeffff"))
    assert not s3.objects


async def test_refused_request_leaves_the_owner_unknown(s3: S3, bucket: Bucket) -> None:
    s3.fails = (403, "AccessDenied")
    with pytest.raises(StoreUnavailableError):
        await claim(bucket)


async def test_identity_is_read_from_the_configmap() -> None:
    class FakeKube:
        async def request(self, method: str, path: str) -> dict[str, Any]:
            assert (method, path) == ("GET", "/api/v1/namespaces/ns/configmaps/id")
            annotations = {"vision-node.dev/adopt": "uid-2"}
            return {
                "metadata": {"uid": "uid-1", "annotations": annotations},
                "data": {"id": RELEASE_ID},
            }

    kube: Any = FakeKube()
    found = await read_identity(kube, "ns", "id")
    assert found == Identity("id", "ns", "uid-1", RELEASE_ID, adopts="uid-2")


async def test_release_of_an_older_chart_has_no_identity() -> None:
    kube: Any = None
    with pytest.raises(NotOursError, match="upgrade its chart"):
        await read_identity(kube, "ns", "")
