"""Texts of the OpenAPI document that belong to no single route."""

DESCRIPTION = """Submit an image, follow its job, read its result; or describe many images as a \
batch.

Errors are problem documents (RFC 9457) whose `reason` programs can act on. `GET /problems` lists \
all reasons.

If the release authenticates its clients, requests need a key in the header \
`Authorization: Bearer vn_…`. `GET /whoami` says what a key may do.

Later versions may add routes, parameters, fields, reasons and values of enums. Clients have to \
ignore what they don't know. Nothing is removed or changed without a new major version.
"""

TAGS = [
    {"name": "jobs", "description": "One image: submit it, follow its job, read its result"},
    {"name": "events", "description": "Follow jobs and batches as a stream of events"},
    {"name": "batches", "description": "Many images as one object"},
    {"name": "inbox", "description": "Images for jobs and batches that are created with kubectl"},
    {"name": "usage", "description": "What was used, and how much is left today"},
    {"name": "keys", "description": "API keys, and what your key may do"},
    {"name": "problems", "description": "What the reasons of errors mean, and what to do"},
    {"name": "health", "description": "Probes"},
]
"""The groups of routes, in the order of /docs."""

PARAMETERS = {
    "job_id": "id of the job, from the response to POST /submit; or `<batch>.<index>` for an image "
    "of a batch",
    "name": "name of the batch",
    "custom_id": "the image's customId: a relative path such as 2024/cat.jpg",
    "idempotency-key": "any text that identifies this request. If the request is repeated with the "
    "same key, nothing is created twice",
    "prefer": "`wait=N`: wait up to N seconds, at most 60, for the end",
}
"""Descriptions of parameters that have none at their route, by name in lowercase."""
