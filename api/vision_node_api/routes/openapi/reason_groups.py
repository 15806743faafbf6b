"""Reasons that several routes have in common, by status. The most frequent one is the first."""

from vision_node_contract.models.reasons import STORAGE_REASONS, BatchReason, Reason

from ...services.history.history_problems import DETAILS
from ...uploads.bulk.refusals import FileReason

Reasons = dict[int, tuple[str, ...]]
"""Reasons of problem documents, by HTTP status."""

FAILURES = tuple(
    dict.fromkeys(
        str(it)
        for it in (
            *Reason,
            *FileReason,
            BatchReason.TOO_MANY_FAILED_IMAGES,
            BatchReason.TOKENS_USED_UP,
        )
    )
)
"""Why an image may have failed, as `error.reason` of GET /status/{job_id} says it."""


def merged(*groups: Reasons) -> Reasons:
    """Return the reasons of all groups, each once, sorted by status."""
    statuses = sorted({status for group in groups for status in group})
    return {
        status: tuple(dict.fromkeys(it for group in groups for it in group.get(status, ())))
        for status in statuses
    }


INVALID: Reasons = {422: ("InvalidRequest",)}
KUBERNETES: Reasons = {503: ("KubernetesUnavailable",)}
STORAGE: Reasons = {503: tuple(sorted(map(str, STORAGE_REASONS)))}
HISTORY: Reasons = {503: tuple(DETAILS)}

JOB = merged({404: ("JobNotFound",)}, INVALID, {502: ("JobUnreadable",)}, KUBERNETES, HISTORY)
"""Reasons of a route that reads a job."""

JOB_OR_IMAGE = merged(JOB, {502: ("BatchUnreadable",)}, STORAGE)
"""Reasons of a route that reads a job or an image of a batch."""

RESULT: Reasons = {
    409: ("NotDone", *FAILURES),
    410: ("ResultGone",),
    502: ("ResultChanged", "ResultUnreadable"),
}

ANY_BATCH = merged({502: ("BatchUnreadable",), 503: ("BatchesUnavailable",)}, KUBERNETES)
BATCH = merged(
    {400: ("InvalidName",), 404: ("BatchNotFound",)}, INVALID, ANY_BATCH, KUBERNETES, HISTORY
)
"""Reasons of a route that reads a batch."""

BODY: Reasons = {
    400: ("UploadBroken",),
    408: ("UploadTooSlow",),
    415: ("ContentEncodingUnsupported",),
    429: ("TooManyUploads", "OwnerShareUsed"),
}
"""Reasons of a route that reads a body."""

FORM: Reasons = {400: ("BadRequest", "TooManyParts"), 422: ("OptionsInvalid",)}

IMAGE: Reasons = {
    400: ("EmptyImage",),
    413: ("ImageTooLarge",),
    415: ("UnsupportedFormat",),
    422: ("ImageUnreadable",),
}
"""Reasons of a route that stores an image."""

UPLOAD = merged(
    {400: ("MissingImage", "TooManyImages"), 415: ("NotAForm",)},
    IMAGE,
    FORM,
    BODY,
    INVALID,
    STORAGE,
)
"""Reasons of a route to which an image is uploaded."""

CALLBACK: Reasons = {422: ("CallbacksNotAvailable", "CallbackURLNotAllowed")}
"""Reasons of a route that takes a callbackURL."""

OWNER_LIMITS = ("TooManyJobsOfOwner", "DailyBytesUsed", "DailyTokensUsed")
"""Reasons of a route that creates something, because of a limit of its owner."""

NEW_JOB = merged(
    CALLBACK,
    {
        422: ("DescriberNotFound", "IdempotencyKeyReused", "JobRefused"),
        429: ("TooManyJobs", "TooManyImageJobs", "QuotaExceeded", *OWNER_LIMITS),
        502: ("JobUnreadable",),
    },
    KUBERNETES,
)
"""Reasons of a route that creates a job."""

NEW_BATCH = merged(
    {
        404: ("BatchNotFound",),
        409: ("BatchExists",),
        422: ("IdempotencyKeyReused", "BatchRefused"),
        429: ("QuotaExceeded", *OWNER_LIMITS),
    },
    ANY_BATCH,
    STORAGE,
)
"""Reasons of a route that creates a batch. It may be deleted while its images arrive."""

FOLLOWING: Reasons = {400: ("InvalidLastEventId",), 429: ("TooManyFollowers", "OwnerShareUsed")}
