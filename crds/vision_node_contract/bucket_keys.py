"""The bucket's layout: which keys exist and who writes them.

images/<random id>           uploads, written by the API; never named after the job, whose name can
be reused inbox/<name>                 put there by POST /inbox/<name>, for ImageJobs created with
kubectl results/<job uid>/<attempt>  results too large for the ImageJob's status, written by workers
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
"""A result of up to this many bytes of JSON lives in the ImageJob's status: no second object to
write, read and delete; a hundred thousand of them still fit an etcd of 2 GiB."""


def new_image_key() -> str:
    """Return a fresh key for an upload."""
    return f"{IMAGES_PREFIX}{uuid.uuid4().hex}"


def own_keys(job: ImageJob) -> list[str]:
    """Return the keys of the objects that go with `job`.

    Objects under inbox/ are not among them: several ImageJobs may name one, and it expires on its
    own.
    """
    image, result = job.spec.image.key, own_result_key(job)
    keys = [image] if image.startswith(IMAGES_PREFIX) else []
    return [*keys, result] if result else keys


def own_result_key(job: ImageJob) -> str | None:
    """Return the key of the stored result of `job`, if it has one.

    One that is named after another job is that one's, whoever wrote the status: the admission
    policy that refuses it can be switched off.
    """
    result, own = job.status.result, result_key(job.metadata.uid, job.status.attempts)
    return own if result and result.key == own else None


@dataclass(frozen=True, slots=True)
class ResultObject:
    """A result in the bucket, as the ImageJob's status refers to it."""

    key: str
    sha256: str
    """Hexadecimal."""
    size_bytes: int

    @classmethod
    def of(cls, job: ImageJob, data: bytes) -> Self:
        """Return the object for `data`, the result of the current attempt."""
        key = result_key(job.metadata.uid, job.status.attempts)
        return cls(key, hashlib.sha256(data).hexdigest(), len(data))


def is_as_stored(result: StoredResult, data: bytes) -> bool:
    """Return whether `data` is what the worker stored; any worker may write to any result's key.

    A result from a worker of an older release has no SHA-256, so it can't be checked and passes.
    """
    return result.sha256 is None or hashlib.sha256(data).hexdigest() == result.sha256


def result_key(uid: str, attempt: int) -> str:
    """Return the key of an attempt's result; unique, so that a late attempt overwrites nobody's."""
    return f"{RESULTS_PREFIX}{uid}/{attempt}"
