"""Examples of requests and responses, by operation and media type.

The name of an operation is that of the route's function.
"""

from typing import Any

FORM, JSON, JSONL, CSV = "multipart/form-data", "application/json", "application/jsonl", "text/csv"

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
)
"""A PNG file with one pixel, in base64, which the API accepts in place of the file itself."""

JOB_ID = "job-jltcotrlubagtyqr4r4hiqznudkzotoh"
RESULT: dict[str, Any] = {
    "description": "Image Description:\nPhotograph of a cat, likely a tabby cat.",
    "alt": "Photo: a cat",
    "caption": "Photograph of a cat, likely a tabby cat.",
    "tags": ["cat", "animal"],
    "text": "",
    "language": "en",
    "facts": {"width": 640, "height": 427},
    "model": "efficientnet-lite2",
    "fallback": None,
    "usage": None,
    "warnings": [],
    "describer": "local",
    "seconds": 0.11,
    "_generated_by": "vision-node-gpt",
}

_STATUS = {
    "job_id": JOB_ID,
    "status": "done",
    "describer": "local",
    "attempts": 1,
    "created_at": "2026-11-02T09:30:00Z",
    "started_at": "2026-11-02T09:30:00Z",
    "completed_at": "2026-11-02T09:30:01Z",
    "expires_at": "2026-12-02T09:30:01Z",
    "duration_seconds": 0.12,
    "error": None,
    "waiting": None,
}

_JOBS = {
    "jobs": [
        {
            "job_id": JOB_ID,
            "status": "done",
            "describer": "local",
            "created_at": "2026-11-02T09:30:00Z",
            "completed_at": "2026-11-02T09:30:01Z",
            "caption": "Photograph of a cat, likely a tabby cat.",
            "alt": "Photo: a cat",
            "file_name": "cat.jpg",
            "error": None,
            "batch": None,
            "index": None,
            "custom_id": None,
        }
    ],
    "next": None,
}

_DETAILS = {
    **_STATUS,
    "labels": {"team": "web"},
    "priority": 0,
    "options": {"language": "en"},
    "image": {
        "media_type": "image/jpeg",
        "width": 640,
        "height": 427,
        "size_bytes": 85214,
        "file_name": "cat.jpg",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "retry_of": None,
    "batch": None,
    "index": None,
    "custom_id": None,
    "result": RESULT,
    "result_error": None,
    "callback": {
        "state": "delivered",
        "attempts": 1,
        "last_error": None,
        "next_attempt_at": None,
        "delivered_at": "2026-11-02T09:30:03Z",
    },
}

_REDELIVERED = {
    "state": "pending",
    "attempts": 0,
    "last_error": "ReceiverRefused: The receiver answered with status 500.",
    "next_attempt_at": "2026-11-05T10:12:00Z",
    "delivered_at": None,
}

_CANCELLED = {
    **_STATUS,
    "status": "processing",
    "completed_at": None,
    "expires_at": None,
    "duration_seconds": None,
}

_NEW_ID = "job-2dkzgyznvw3ebjnfqxzqj7mbi5xkqtfa"
_RETRIED = {
    "retried": [{"job_id": _NEW_ID, "retry_of": JOB_ID}],
    "failed": [
        {
            "job_id": "job-gm3tsnbqmq4dkztfge2dinzrmfrtazlb",
            "reason": "ImageGone",
            "detail": "The image was deleted from storage.",
        }
    ],
    "next": None,
}

_EXPORTED_LINE = '{"job_id":"job-jltcotrlubagtyqr4r4hiqznudkzotoh","status":"done","cursor":"…"}\n'
_EXPORTED_TABLE = (
    "customId,file,phase,caption,alt,tags,text,error,job_id,describer,created_at,completed_at,"
    "cursor,labels\r\n"
    ',cat.jpg,done,Photograph of a cat.,Photo: a cat,"cat, animal",,,'
    "job-jltcotrlubagtyqr4r4hiqznudkzotoh,local,2026-11-02T09:30:00Z,2026-11-02T09:30:01Z,…,team=web\r\n"
)

_DESCRIBERS: dict[str, Any] = {
    "describers": [
        {
            "name": "local",
            "provider": "local",
            "model": None,
            "ready": True,
            "reason": "Idle",
            "message": "No workers are running because there is no work; the next image starts one",
            "fallback": "metadata",
            "warnings": [],
            "workers": 0,
            "queued": 0,
            "processing": 0,
            "default": True,
        }
    ]
}

_LIMITS = {
    "imageBytes": 20971520,
    "imagePixels": 100000000,
    "mediaTypes": ["image/jpeg", "image/png"],
    "formats": ["JPEG", "PNG"],
    "unfinishedJobs": 10000,
    "imageJobs": 30000,
    "ttlSeconds": 2592000,
    "defaultTtlSeconds": 2592000,
    "labels": 16,
    "minPriority": -10,
    "maxPriority": 10,
    "history": True,
    "batchImages": 1000000,
    "batchZipBytes": 83886080000,
    "batchStartSeconds": 86400,
    "retryImages": 10000,
    "customIdCharacters": 512,
    "uploadBytesPerSecond": 4096,
    "uploadStallSeconds": 30.0,
    "uploadSeconds": 350.0,
    "answerSeconds": 90.5,
    "authentication": True,
    "ownerLimits": {
        "requestsPerSecond": 50,
        "unfinishedJobs": 5000,
        "bytesPerDay": None,
        "providerTokensPerDay": 100000,
    },
}

_USAGE = {
    "owner": "web",
    "days": [
        {
            "day": "2026-11-02",
            "describer": "local",
            "images": 1200,
            "failed": 3,
            "bytes": 241172480,
            "input_tokens": 0,
            "output_tokens": 0,
        }
    ],
    "next": None,
    "today": {
        "limits": {
            "requests_per_second": 50,
            "unfinished_jobs": 5000,
            "bytes_per_day": None,
            "provider_tokens_per_day": 100000,
        },
        "used": {"unfinished_jobs": 2, "bytes": 241591910, "provider_tokens": 0},
    },
    "history": True,
}

_UID = "5f0c1a52-5f0e-4a55-9a51-0b5a7a0b6c55"
_LINKS = {"self": "/batches/holiday", "results": "/batches/holiday/results"}
_STARTED = {"name": "holiday", "uid": _UID, "status": "queued", "links": _LINKS}
_CREATED = {
    **_STARTED,
    "images": 2,
    "skipped": 0,
    "refused": {
        "count": 1,
        "files": [
            {"file": "notes.txt", "reason": "UnsupportedFormat", "message": "It is not an image."}
        ],
    },
}

_BATCH = {
    "name": "holiday",
    "uid": _UID,
    "status": "processing",
    "describer": "local",
    "source": {"prefix": "inbox/holiday/", "manifest": None, "upload": None},
    "images": {"total": 10000, "done": 4120, "failed": 1},
    "rate": 41.0,
    "remaining_seconds": 143.3,
    "usage": None,
    "suspended": False,
    "waiting": None,
    "error": None,
    "failures": [
        {
            "index": 17,
            "custom_id": "broken.jpg",
            "reason": "ImageUnreadable",
            "message": "The file is damaged.",
        }
    ],
    "conditions": [],
    "results": {"parts": 98, "size_bytes": 8431022},
    "created_at": "2026-11-02T09:30:00Z",
    "started_at": "2026-11-02T09:30:02Z",
    "completed_at": None,
    "expires_at": None,
    "duration_seconds": None,
    "links": {"results": "/batches/holiday/results"},
}

_BATCHES = {
    "batches": [
        {
            "name": "holiday",
            "status": "processing",
            "describer": "local",
            "source": "prefix",
            "images": {"total": 10000, "done": 4120, "failed": 1},
            "created_at": "2026-11-02T09:30:00Z",
            "completed_at": None,
        }
    ],
    "next": None,
}

_LINES = (
    '{"index":0,"customId":"cat.jpg","key":"inbox/oaxkfp6v3rtb/holiday/cat.jpg",'
    '"size":201912,"result":{"description":"…","_generated_by":"vision-node-gpt"}}\n'
    '{"index":17,"customId":"broken.jpg","key":"inbox/oaxkfp6v3rtb/holiday/broken.jpg",'
    '"size":1204,"error":{"reason":"ImageUnreadable","message":"The file is damaged."}}\n'
)

_TABLE = (
    "customId,file,phase,caption,alt,tags,text,error\r\n"
    'cat.jpg,cat.jpg,done,"Photograph of a cat.",Photo: a cat,"cat, animal",,\r\n'
)

_ENTRY = {
    "name": "holiday/cat.jpg",
    "key": "inbox/oaxkfp6v3rtb/holiday/cat.jpg",
    "size_bytes": 201912,
    "modified_at": "2026-11-02T09:30:00Z",
    "expires_at": None,
}
_OBJECT = {
    **_ENTRY,
    "media_type": "image/jpeg",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "spec": {"image": {"key": "inbox/oaxkfp6v3rtb/holiday/cat.jpg"}},
}

_REASON = {
    "reason": "JobNotFound",
    "statuses": [404],
    "title": "There is no such job",
    "happened": "No job has this id. Finished jobs are deleted after their time to live.",
    "remedy": "Check the id. If the job was deleted, submit the image again.",
    "repeatable": False,
    "places": [],
}

_KEY = {
    "id": "k7q2mzx4b3ta",
    "name": "gallery",
    "owner": "gallery",
    "scopes": ["submit", "read"],
    "expires_at": "2026-12-02T09:30:00Z",
}

_CLIENT = {
    "subject": "gallery",
    "owner": "gallery",
    "scopes": ["read", "submit"],
    "expires_at": "2026-12-02T09:30:00Z",
}

REQUESTS: dict[str, dict[str, Any]] = {
    "submit": {
        FORM: {"file": PIXEL, "language": "en", "maxLength": 500},
        "application/octet-stream": PIXEL,
    },
    "create_batch": {
        FORM: {"name": "holiday", "files": [PIXEL]},
        JSON: {"prefix": "inbox/holiday/", "name": "holiday", "options": {"language": "en"}},
    },
    "put_inbox_object": {FORM: {"file": PIXEL}},
    "log_in": {
        JSON: {"key": f"vn_{_KEY['id']}_{'a' * 52}"},
        "application/x-www-form-urlencoded": {"key": f"vn_{_KEY['id']}_{'a' * 52}"},
    },
    "create_key": {JSON: {"name": "gallery", "scopes": ["submit", "read"], "expires": "30d"}},
    "retry_job": {JSON: {"describer": "local", "language": "en"}},
    "retry_failed": {JSON: {"reason": "ProviderUnavailable", "changes": {"describer": "local"}}},
}
"""Examples of bodies. The API decodes base64, so that each of them works as it is."""

RESPONSES: dict[str, dict[str, Any]] = {
    "submit": {JSON: {"job_id": JOB_ID, "status": "queued"}},
    "status": {JSON: _STATUS},
    "result": {JSON: {"job_id": JOB_ID, "status": "done", **RESULT}},
    "describers": {JSON: _DESCRIBERS},
    "list_jobs": {JSON: _JOBS},
    "get_job": {JSON: _DETAILS},
    "export_jobs": {JSONL: _EXPORTED_LINE, CSV: _EXPORTED_TABLE},
    "redeliver_job": {JSON: _REDELIVERED},
    "cancel_job": {JSON: _CANCELLED},
    "retry_job": {JSON: {"job_id": _NEW_ID, "status": "queued"}},
    "retry_failed": {JSON: _RETRIED},
    "limits": {JSON: _LIMITS},
    "usage": {JSON: _USAGE},
    "create_batch": {JSON: _CREATED},
    "retry_batch": {JSON: _CREATED},
    "start_batch": {JSON: _STARTED},
    "list_batches": {JSON: _BATCHES},
    "get_batch": {JSON: _BATCH},
    "redeliver_batch": {JSON: _REDELIVERED},
    "cancel_batch": {JSON: _BATCH},
    "suspend_batch": {JSON: {**_BATCH, "suspended": True}},
    "resume_batch": {JSON: _BATCH},
    "list_batch_images": {JSONL: '{"customId":"cat.jpg","size":201912}\n'},
    "get_batch_results": {JSONL: _LINES, CSV: _TABLE},
    "list_inbox": {JSON: {"objects": [_ENTRY], "next_cursor": None}},
    "get_inbox_object": {JSON: _OBJECT},
    "put_inbox_object": {JSON: _OBJECT},
    "whoami": {JSON: _CLIENT},
    "create_key": {JSON: {**_KEY, "key": f"vn_{_KEY['id']}_{'a' * 52}"}},
    "list_keys": {JSON: {"keys": [{**_KEY, "created_at": "2026-11-02T09:30:00Z"}]}},
    "list_problems": {JSON: {"problems": [_REASON]}},
    "get_problem": {JSON: _REASON},
    "healthz": {JSON: {"status": "ok"}},
    "readyz": {JSON: {"status": "ready", "kubernetes": "ok", "storage": "ok", "details": {}}},
}
"""Examples of successful responses."""
