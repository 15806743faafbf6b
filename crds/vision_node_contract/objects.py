"""The bucket's layout: which keys exist and who writes them.

images/<random id>           uploads, written by the API; never named after the job, whose name can be reused
inbox/<anything>             put there by hand, for ImageJobs created with kubectl
results/<job uid>/<attempt>  results too large for the ImageJob's status, written by workers
"""

import uuid

from .imagejob import ImageJob

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

    What is under inbox/ stays its owner's; a result that is named after another job is that one's, whoever
    wrote the status.
    """
    image, result = job.spec.image.key, job.status.result
    own = result_key(job.metadata.uid, job.status.attempts)
    keys = [image] if image.startswith(IMAGES_PREFIX) else []
    return [*keys, own] if result and result.key == own else keys


def result_key(uid: str, attempt: int) -> str:
    """Return the key of an attempt's result; unique, so that a late attempt overwrites nobody's."""
    return f"{RESULTS_PREFIX}{uid}/{attempt}"
