"""The keys of the objects in the bucket.

Each release has an id, which it gets once and keeps, and its objects are in folders with this id.
So several releases can share a bucket, and each deletes only its own objects:

- images/<id>/<random> is an upload, which the API writes. The key does not contain the name of the
  job, because a name can be reused.
- inbox/<id>/<name> is an image for ImageJobs that are created with kubectl. POST /inbox/<name>
  writes it.
- inbox/<id>/owners/<owner>/<name> is the same for a client that sees only its own objects.
- results/<id>/<job uid>/<attempt> is a result that is too large for the ImageJob's status. Workers
  write it.
- batches/<id>/<uid>/… belongs to an ImageBatch: its manifest and results (see batch_objects.py).
- owners/<id> says which release owns these folders. The operator writes it.

Older releases had no id. Their keys are the same without `<id>/`. They stay readable, and are
deleted only together with the ImageJob that names them.
"""

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from typing import Self

from .models.imagejob import ImageJob, StoredResult

IMAGES_PREFIX = "images/"
INBOX_PREFIX = "inbox/"
RESULTS_PREFIX = "results/"
BATCHES_PREFIX = "batches/"
OWNERS_PREFIX = "owners/"

OWNED_FOLDER = "owners/"
"""Folder in the inbox with a folder for each owner."""

RESERVED_PART = "xl.meta"
"""Name of the file in which MinIO stores an object's data. The file is in a folder that has the
object's name, so no folder can have this name."""

ID_CHARACTERS = 12
"""Number of characters of a release's id. It is short, because users see it in the keys of their
images."""

RELEASE_ID = re.compile(rf"[a-z2-7]{{{ID_CHARACTERS}}}")
"""Pattern of a release's id: 60 random bits in base32 (RFC 4648), in lowercase."""

_HASHED_OWNER = re.compile("hash-[0-9a-f]{32}")
"""The folder of an owner whose name can't be a part of a key."""

INLINE_RESULT_BYTES = 4096
"""Maximum size of a result that is stored in the ImageJob's status, in bytes of JSON. Such a result
needs no object in the bucket. A hundred thousand such results fit into 2 GiB of etcd."""


@dataclass(frozen=True, slots=True)
class BucketFolders:
    """The folders of one release in the bucket.

    Without an id, because an older chart sets none, the keys are those of older releases.
    """

    release_id: str = ""

    @classmethod
    def from_env(cls) -> Self:
        """Read RELEASE_ID, which the chart sets from the release's identity ConfigMap.

        Raises:
            ValueError: RELEASE_ID is not the id of a release.
        """
        release_id = os.environ.get("RELEASE_ID", "")
        if release_id and not RELEASE_ID.fullmatch(release_id):
            raise ValueError(
                f"RELEASE_ID is {release_id!r}, which is not the id of a release: restore `id` in "
                "the release's identity ConfigMap"
            )

        return cls(release_id)

    @property
    def images(self) -> str:
        """Prefix of the keys of uploads."""
        return self._folder(IMAGES_PREFIX)

    @property
    def inbox(self) -> str:
        """Prefix of the keys of images in the inbox."""
        return self._folder(INBOX_PREFIX)

    @property
    def results(self) -> str:
        """Prefix of the keys of results."""
        return self._folder(RESULTS_PREFIX)

    @property
    def batches(self) -> str:
        """Prefix of the keys of ImageBatches' objects."""
        return self._folder(BATCHES_PREFIX)

    @property
    def marker(self) -> str | None:
        """Key of the object that says which release owns the folders; None without an id."""
        return f"{OWNERS_PREFIX}{self.release_id}" if self.release_id else None

    def new_image_key(self) -> str:
        """Return a new, unique key for an upload."""
        return f"{self.images}{uuid.uuid4().hex}"

    def result_key(self, uid: str, attempt: int) -> str:
        """Return the key of an attempt's result.

        Each attempt has its own key, so a late attempt can't overwrite another attempt's result.
        """
        return f"{self.results}{uid}/{attempt}"

    def inbox_of(self, owner: str) -> str:
        """Return the prefix of the keys of an owner's images in the inbox.

        Args:
            owner: The value of the label vision-node.dev/owner, which is not empty.
        """
        part = owner
        # Keys may not contain "..". Names that look like a hash are hashed as well, so that no
        # owner can have the folder of another.
        if ".." in owner or owner == RESERVED_PART or _HASHED_OWNER.fullmatch(owner):
            part = f"hash-{hashlib.sha256(owner.encode()).hexdigest()[:32]}"

        return f"{self.inbox}{OWNED_FOLDER}{part}/"

    def owned_folder(self, key: str) -> str | None:
        """Return the prefix of the keys of the owner in whose folder a complete key is.

        Return None if the key is in no owner's folder.
        """
        owned = self.inbox + OWNED_FOLDER
        part, slash, _ = key.removeprefix(owned).partition("/")
        return f"{owned}{part}/" if key.startswith(owned) and part and slash else None

    def inbox_key(self, key: str) -> str:
        """Return the complete key of an image in the inbox.

        A manifest may name inbox/<name>, without the id. This means the image that the API stores
        under inbox/<id>/<name> or, if there is none, the one that an older release stored.
        """
        if key.startswith(self.inbox):
            return key

        return self.inbox + key.removeprefix(INBOX_PREFIX)

    def key_within(self, key: str, folder: str) -> str | None:
        """Return the complete key of an image for a client that may use only one inbox folder.

        For such a client, inbox/<name> means the name in this folder. Return None if the key is
        elsewhere.
        """
        if not key.startswith(INBOX_PREFIX):
            return None

        complete = self.inbox_key(key)
        if complete.startswith(folder):
            return complete

        is_elsewhere = self.release_id and key.startswith(self.inbox)
        return None if is_elsewhere else folder + key.removeprefix(INBOX_PREFIX)

    def older_inbox_key(self, name: str) -> str | None:
        """Return the key of the image that an older release stored under inbox/<name>.

        Return None if there can be no such image. If the first part of the name looks like an id,
        the image belongs to the release with this id.
        """
        first, slash, _ = name.partition("/")
        if not self.release_id or (slash and RELEASE_ID.fullmatch(first)):
            return None

        return INBOX_PREFIX + name

    def own_keys(self, job: ImageJob) -> list[str]:
        """Return the keys of the objects that are deleted together with `job`.

        Objects under inbox/ are not included. Several ImageJobs may use the same object, and
        these objects expire independently of the ImageJobs.
        """
        image, result = job.spec.image.key, self.own_result_key(job)
        keys = [image] if self.is_own_image(image) else []

        return [*keys, result] if result else keys

    def own_result_key(self, job: ImageJob) -> str | None:
        """Return the key of the job's own stored result, or None if there is none.

        A key that contains another job's uid or another release's id is ignored, because that
        result belongs to the other job. An admission policy rejects such a status, but the policy
        can be switched off.
        """
        if job.status.result is None:
            return None

        key, uid, attempt = job.status.result.key, job.metadata.uid, job.status.attempts
        own = (self.result_key(uid, attempt), BucketFolders().result_key(uid, attempt))
        return key if key in own else None

    def is_own_image(self, key: str) -> bool:
        """Return whether `key` is an upload in the release's folder or of an older release."""
        if self.release_id and key.startswith(self.images):
            return True

        return key.startswith(IMAGES_PREFIX) and "/" not in key.removeprefix(IMAGES_PREFIX)

    def _folder(self, prefix: str) -> str:
        return f"{prefix}{self.release_id}/" if self.release_id else prefix


@dataclass(frozen=True, slots=True)
class ResultObject:
    """The location, digest and size of a result in the bucket, for the ImageJob's status."""

    key: str
    sha256: str
    """SHA-256 in hexadecimal."""
    size_bytes: int

    @classmethod
    def of(cls, job: ImageJob, data: bytes, folders: BucketFolders) -> Self:
        """Return the object in which to store `data`, the result of the job's current attempt."""
        key = folders.result_key(job.metadata.uid, job.status.attempts)
        return cls(key, hashlib.sha256(data).hexdigest(), len(data))


def is_as_stored(result: StoredResult, data: bytes) -> bool:
    """Return whether `data` is the result that the worker stored.

    The check is needed because any worker can write to any result's key. Results from workers of
    older releases have no SHA-256, so they are not checked.
    """
    return result.sha256 is None or hashlib.sha256(data).hexdigest() == result.sha256
