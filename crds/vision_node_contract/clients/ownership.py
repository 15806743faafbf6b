"""Determine whether the release's folders in the bucket belong to this release.

The folders have the release's id, which is in a ConfigMap. Copies of this ConfigMap may exist, for
example in a namespace that was restored from a backup. Then two releases would use the same
folders, and each would delete the objects of the other. So a marker in the bucket names the uid of
the one ConfigMap that owns the folders. A copy of a ConfigMap gets a uid of its own. (Only a
cluster that was cloned from a snapshot of etcd has the same uids.)
"""

import hashlib
import json
import re
from dataclasses import dataclass

from ..bucket_keys import BucketFolders
from .bucket import Bucket
from .bucket_errors import ObjectChangedError, ObjectNotFoundError
from .kube import Kube

STORAGE_NOT_OURS = "StorageNotOurs"
"""Reason why nothing is swept: the folders in the bucket belong to another release."""

ADOPT_ANNOTATION = "vision-node.dev/adopt"
"""Annotation on the identity ConfigMap. Its value is the uid of the owner that this release
replaces. The uid is required, so that a forgotten annotation does not replace another owner."""

CONFIRM_ANNOTATION = "vision-node.dev/confirm-restore"
"""Annotation on the identity ConfigMap, with which a person confirms that the cluster or the
database was restored from a backup. Its value is in the archiver's log."""

MISSING = "missing"
"""Stands for the uid of the owner if the marker of another release was deleted."""

MARKER_BYTES = 1024
"""Maximum size of a marker in bytes. A marker has about 150 bytes."""

_UID = re.compile(r"[A-Za-z0-9-]{1,64}")
"""Pattern of a uid in a marker. Messages quote the uid, so it may not contain anything else."""


class NotOursError(Exception):
    """The release's folders in the bucket belong to another release."""

    reason = STORAGE_NOT_OURS


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity ConfigMap of a release."""

    name: str
    namespace: str
    uid: str
    release_id: str
    adopts: str = ""
    """The uid of the owner that this release replaces; usually empty."""
    confirms: str = ""
    """The restore from a backup that a person has confirmed; usually empty."""


async def read_identity(kube: Kube, namespace: str, name: str) -> Identity:
    """Read the identity ConfigMap `name`.

    Raises:
        NotOursError: `name` is empty, because an older chart creates no identity.
        NotFoundError: There is no such ConfigMap.
        KubeError: The API server is unavailable or refused the request.
    """
    if not name:
        raise NotOursError("this release has no identity, so nothing is swept: upgrade its chart")

    body = await kube.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    meta = body["metadata"]
    annotations = meta.get("annotations") or {}

    return Identity(
        name=name,
        namespace=namespace,
        uid=meta["uid"],
        release_id=(body.get("data") or {}).get("id", ""),
        adopts=annotations.get(ADOPT_ANNOTATION, ""),
        confirms=annotations.get(CONFIRM_ANNOTATION, ""),
    )


async def require_ownership(bucket: Bucket, identity: Identity) -> None:
    """Check that the marker in the bucket names this release, or that there is no marker yet.

    Raises:
        NotOursError: The folders belong to another release.
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    _require_same_id(bucket.folders, identity)
    owner = await _read_marker(bucket)
    if owner not in (None, identity.uid):
        raise NotOursError(_not_ours(bucket.folders, identity, owner or ""))


async def claim_ownership(bucket: Bucket, identity: Identity, *, may_create: bool = True) -> None:
    """Write the marker if it is missing, or if this release is to replace its owner.

    `may_create` is false if the folders belonged to another release before. Then a missing marker
    was deleted, and does not mean that nobody owns the folders.

    Raises:
        NotOursError: The folders belong to another release.
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    _require_same_id(bucket.folders, identity)
    owner = await _read_marker(bucket)
    if owner == identity.uid:
        return

    if (owner is None and may_create) or identity.adopts == (owner or MISSING):
        await _write_marker(bucket, identity, replace=owner is not None)
        # The marker is read again. Another release may have been faster, and a bucket without
        # conditional writes does not say so.
        owner = await _read_marker(bucket)

    if owner != identity.uid:
        raise NotOursError(_not_ours(bucket.folders, identity, owner or MISSING))


async def _read_marker(bucket: Bucket) -> str | None:
    """Return the owner's uid, "unreadable" for an invalid marker, or None without a marker."""
    try:
        data = await bucket.get(_marker_key(bucket.folders), MARKER_BYTES)
    except ObjectNotFoundError:
        return None

    try:
        match json.loads(data):
            case {"uid": str(uid)} if _UID.fullmatch(uid):
                return uid
    except ValueError:
        return "unreadable"

    return "unreadable"


async def _write_marker(bucket: Bucket, identity: Identity, *, replace: bool) -> None:
    key = _marker_key(bucket.folders)
    text = {"uid": identity.uid, "namespace": identity.namespace, "configMap": identity.name}
    data = json.dumps(text).encode()

    try:
        etag = (await bucket.stat(key)).etag if replace else None
        digest = hashlib.sha256(data).hexdigest()
        await bucket.put_if(key, data, "application/json", digest, etag)
    except (ObjectChangedError, ObjectNotFoundError):
        return  # another writer was faster; the caller reads what it wrote


def _require_same_id(folders: BucketFolders, identity: Identity) -> None:
    if not folders.release_id or identity.release_id != folders.release_id:
        raise NotOursError(
            f"ConfigMap {identity.name} has id {identity.release_id!r}, but this pod was started "
            f"with {folders.release_id!r}: restart the pods, or restore the ConfigMap"
        )


def _not_ours(folders: BucketFolders, identity: Identity, owner: str) -> str:
    return (
        f"{_marker_key(folders)} in the bucket names another owner ({owner}), so nothing is swept. "
        "If no other release uses these folders anymore, take them over: "
        f"kubectl --namespace {identity.namespace} annotate --overwrite configmap {identity.name} "
        f"{ADOPT_ANNOTATION}={owner}"
    )


def _marker_key(folders: BucketFolders) -> str:
    if folders.marker is None:
        raise ValueError("a release without an id has no marker")

    return folders.marker
