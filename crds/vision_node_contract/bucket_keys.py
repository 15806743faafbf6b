"""The keys of the objects in the bucket.

- images/<random id> is an upload, which the API writes. The key does not contain the name of the
  job, because a name can be reused.
- inbox/<name> is an image for ImageJobs that are created with kubectl. POST /inbox/<name> writes
  it.
- results/<job uid>/<attempt> is a result that is too large for the ImageJob's status. Workers write
  it.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Self

from .models.imagejob import ImageJob, StoredResult

IMAGES_PREFIX = "images/"
INBOX_PREFIX = "inbox/"
RESULTS_PREFIX = "results/"

INLINE_RESULT_BYTES = 4096
"""Maximum size of a result that is stored in the ImageJob's status, in bytes of JSON. Such a result
needs no object in the bucket. A hundred thousand such results fit into 2 GiB of etcd."""


def new_image_key() -> str:
    """Return a new, unique key for an upload."""
    return f"{IMAGES_PREFIX}{uuid.uuid4().hex}"


def own_keys(job: ImageJob) -> list[str]:
    """Return the keys of the objects that are deleted together with `job`.

    Objects under inbox/ are not included. Several ImageJobs may use the same object, and
    these objects expire independently of the ImageJobs.
    """
    image, result = job.spec.image.key, own_result_key(job)
    keys = [image] if image.startswith(IMAGES_PREFIX) else []

    return [*keys, result] if result else keys


def own_result_key(job: ImageJob) -> str | None:
    """Return the key of the job's own stored result, or None if there is none.

    A key that contains another job's uid is ignored, because that result belongs to the other job.
    An admission policy rejects such a status, but the policy can be switched off.
    """
    result, own = job.status.result, result_key(job.metadata.uid, job.status.attempts)
    return own if result and result.key == own else None


@dataclass(frozen=True, slots=True)
class ResultObject:
    """The location, digest and size of a result in the bucket, for the ImageJob's status."""

    key: str
    sha256: str
    """SHA-256 in hexadecimal."""
    size_bytes: int

    @classmethod
    def of(cls, job: ImageJob, data: bytes) -> Self:
        """Return the object in which to store `data`, the result of the job's current attempt."""
        key = result_key(job.metadata.uid, job.status.attempts)
        return cls(key, hashlib.sha256(data).hexdigest(), len(data))


def is_as_stored(result: StoredResult, data: bytes) -> bool:
    """Return whether `data` is the result that the worker stored.

    The check is needed because any worker can write to any result's key. Results from workers of
    older releases have no SHA-256, so they are not checked.
    """
    return result.sha256 is None or hashlib.sha256(data).hexdigest() == result.sha256


def result_key(uid: str, attempt: int) -> str:
    """Return the key of an attempt's result.

    Each attempt has its own key, so a late attempt can't overwrite another attempt's result.
    """
    return f"{RESULTS_PREFIX}{uid}/{attempt}"
