"""The reasons of the problem documents with which each route may answer.

This is the only table of them. The descriptions of responses are made from it, and a test fails if
a route answers with a reason that is not here.
"""

from .reason_groups import (
    BATCH,
    BODY,
    CALLBACK,
    FAILURES,
    FOLLOWING,
    FORM,
    HISTORY,
    IMAGE,
    INVALID,
    JOB_OR_IMAGE,
    KUBERNETES,
    NEW_BATCH,
    NEW_JOB,
    OWNER_LIMITS,
    RESULT,
    STORAGE,
    UPLOAD,
    Reasons,
    merged,
)

ANY_REQUEST: Reasons = {
    400: ("BadRequest",),
    404: ("NotFound",),
    405: ("MethodNotAllowed",),
    408: ("RequestTooSlow",),
    431: ("HeadersTooLarge",),
    500: ("InternalError",),
    503: ("ServerStopping",),
}
"""Reasons with which any request may fail, whatever its route is."""

_KEYS: Reasons = {501: ("AuthenticationDisabled",), 503: ("AuthenticationUnavailable",)}

REASONS: dict[str, Reasons] = {
    "submit": merged(UPLOAD, NEW_JOB),
    "status": JOB_OR_IMAGE,
    "result": merged(RESULT, JOB_OR_IMAGE),
    "describers": INVALID,
    "list_jobs": merged(
        INVALID,
        {
            400: ("InvalidCursor",),
            422: ("QueryWithoutWords",),
            429: ("OwnerShareUsed",),
            501: ("HistoryDisabled",),
        },
        HISTORY,
        KUBERNETES,
    ),
    "export_jobs": merged(
        INVALID,
        {
            400: ("InvalidCursor",),
            422: ("QueryWithoutWords",),
            429: ("TooManyStreams", "OwnerShareUsed"),
            501: ("HistoryDisabled",),
        },
        HISTORY,
        KUBERNETES,
    ),
    "get_job": JOB_OR_IMAGE,
    "job_image": merged(
        JOB_OR_IMAGE,
        {
            409: ("ImageUnknown",),
            410: ("ImageGone",),
            429: ("OwnerShareUsed",),
            503: ("TooManyDownloads",),
        },
    ),
    "job_thumbnail": merged(
        {422: ("NoThumbnail",)},
        JOB_OR_IMAGE,
        {
            409: ("ImageUnknown",),
            410: ("ImageGone",),
            429: ("OwnerShareUsed",),
            503: ("TooManyThumbnails",),
        },
    ),
    "cancel_job": merged(
        {403: ("ActionRefused",), 409: ("JobFinished", "ImageOfBatch")}, JOB_OR_IMAGE
    ),
    "delete_job": merged({403: ("ActionRefused",), 409: ("ImageOfBatch",)}, JOB_OR_IMAGE),
    "retry_job": merged(
        JOB_OR_IMAGE,
        {409: ("JobUnfinished",), 410: ("ImageGone",), 415: ("NotAForm",)},
        FORM,
        {413: ("DocumentTooLarge",)},
        IMAGE,
        BODY,
        NEW_JOB,
    ),
    "retry_failed": merged(
        {
            400: ("InvalidCursor",),
            413: ("DocumentTooLarge",),
            422: ("OptionsInvalid", "DescriberNotFound"),
            429: (
                *("TooManyRetries", "TooManyJobs", "TooManyImageJobs", "QuotaExceeded"),
                *OWNER_LIMITS,
            ),
            502: ("JobUnreadable",),
        },
        CALLBACK,
        BODY,
        INVALID,
        KUBERNETES,
        STORAGE,
        HISTORY,
    ),
    "job_events": merged(JOB_OR_IMAGE, FOLLOWING),
    "batch_events": merged(BATCH, FOLLOWING),
    "all_events": merged(INVALID, KUBERNETES, FOLLOWING),
    "create_batch": merged(
        {
            400: ("BadRequest",),
            413: ("TooManyImages", "ZipTooLarge", "DirectoryTooLarge", "DocumentTooLarge"),
            415: ("NotAnUpload", "ArchiveUnsupported"),
            422: ("OptionsInvalid", "DescriberNotFound", "NoImages"),
        },
        CALLBACK,
        INVALID,
        BODY,
        NEW_BATCH,
    ),
    "put_batch_image": merged(
        BATCH,
        {
            409: ("UploadComplete", "NotAnUpload"),
            413: ("ImageTooLarge",),
            415: ("UnsupportedFormat", "NestedArchive"),
            422: ("NameInvalid", "EmptyFile"),
            429: ("DailyBytesUsed",),
        },
        BODY,
        STORAGE,
    ),
    "list_batch_images": merged(BATCH, {409: ("NotAnUpload",)}, STORAGE),
    "start_batch": merged(
        {409: ("NotAnUpload",), 422: ("NoImages", "BatchRefused")}, BATCH, STORAGE
    ),
    "list_batches": merged(
        {400: ("InvalidCursor",), 503: ("BatchesUnavailable",)}, INVALID, KUBERNETES, HISTORY
    ),
    "get_batch": BATCH,
    "delete_batch": BATCH,
    "cancel_batch": merged({409: ("BatchFinished",)}, BATCH),
    "suspend_batch": merged({409: ("BatchFinished",)}, BATCH),
    "resume_batch": merged({409: ("BatchFinished",)}, BATCH),
    "get_batch_results": merged(
        BATCH,
        {
            422: ("InvalidAfter",),
            429: ("TooManyStreams", "OwnerShareUsed"),
            502: ("ResultChanged",),
        },
        STORAGE,
    ),
    "retry_batch": merged(
        BATCH,
        {
            409: ("NotFinished", "NothingFailed"),
            410: ("ImagesGone",),
            413: ("TooManyFailedImages",),
            422: ("DescriberNotFound",),
            429: ("TooManyRetries",),
        },
        NEW_BATCH,
    ),
    "list_inbox": merged({422: ("InvalidName", "InvalidCursor")}, INVALID, STORAGE),
    "put_inbox_object": merged(
        {409: ("ObjectExists", "ObjectInUse", "ObjectChanged"), 503: ("StorageNotOurs",)},
        UPLOAD,
        {422: ("InvalidName",), 429: ("DailyBytesUsed",)},
    ),
    "get_inbox_object": merged({404: ("ObjectNotFound",), 422: ("InvalidName",)}, INVALID, STORAGE),
    "delete_inbox_object": merged(
        {
            404: ("ObjectNotFound",),
            409: ("ObjectInUse",),
            422: ("InvalidName",),
            503: ("StorageNotOurs",),
        },
        INVALID,
        STORAGE,
    ),
    "limits": INVALID,
    "usage": merged({403: ("Forbidden",)}, INVALID, HISTORY),
    "whoami": INVALID,
    "create_key": merged(
        INVALID,
        {
            409: ("TooManyKeys",),
            413: ("DocumentTooLarge",),
            422: ("OptionsInvalid",),
        },
        _KEYS,
        BODY,
    ),
    "list_keys": merged(INVALID, _KEYS),
    "revoke_key": merged(INVALID, {404: ("KeyNotFound",)}, _KEYS),
    "log_in": merged(
        {
            400: ("BadRequest",),
            401: ("Unauthenticated",),
            403: ("OriginNotAllowed",),
            408: ("UploadTooSlow",),
            413: ("DocumentTooLarge",),
            415: ("NotAForm",),
            422: ("SessionTooLong",),
        },
        INVALID,
        _KEYS,
    ),
    "log_out": merged({403: ("OriginNotAllowed",)}, INVALID),
    "list_problems": {},
    "get_problem": merged({404: ("ReasonNotFound",)}, INVALID),
    "healthz": {500: ("WatchStopped",)},
    "readyz": {503: ("NotReady",)},
}
"""Reasons by operation: the name of the route's function. Those of ANY_REQUEST come in addition."""


def reasons_text(reasons: tuple[str, ...]) -> str:
    """Return the reasons as part of a sentence. Those of failed images are not listed one by one.

    Args:
        reasons: The reasons of one status of a route.
    """
    is_failure = set(FAILURES) <= set(reasons)
    named = [it for it in reasons if not (is_failure and it in FAILURES)]
    text = ", ".join(f"`{it}`" for it in named)
    return f"{text}, or the reason why the image has failed" if is_failure else text
