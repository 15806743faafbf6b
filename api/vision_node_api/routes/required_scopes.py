"""What a client needs for each route, if clients are authenticated.

The middleware that authenticates clients and the OpenAPI document both use this table. A route that
is missing here is only for administrators, and a test fails.
"""

from ..web.required_scope import ANY, PUBLIC, Required

REQUIRED: dict[tuple[str, str], Required] = {
    # What everyone may read, to find out what is wrong or to log in.
    ("GET", "/"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/docs/oauth2-redirect"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/problems"): PUBLIC,
    ("GET", "/problems/{reason}"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/static-offline-docs/{path}"): PUBLIC,
    ("GET", "/ui"): PUBLIC,
    ("GET", "/ui/{name}"): PUBLIC,
    ("POST", "/session"): PUBLIC,
    ("DELETE", "/session"): PUBLIC,
    # What is the same for all clients, or about the client itself.
    ("GET", "/describers"): ANY,
    ("GET", "/limits"): ANY,
    ("GET", "/whoami"): ANY,
    # One image.
    ("POST", "/submit"): "submit",
    ("GET", "/status/{job_id}"): "read",
    ("GET", "/result/{job_id}"): "read",
    ("GET", "/jobs"): "read",
    ("GET", "/jobs/export"): "read",
    ("POST", "/jobs/retry"): "submit",
    ("GET", "/jobs/{job_id}"): "read",
    ("DELETE", "/jobs/{job_id}"): "submit",
    ("POST", "/jobs/{job_id}/callback/redeliver"): "submit",
    ("POST", "/jobs/{job_id}/cancel"): "submit",
    ("GET", "/jobs/{job_id}/events"): "read",
    ("GET", "/jobs/{job_id}/image"): "read",
    ("POST", "/jobs/{job_id}/retry"): "submit",
    ("GET", "/jobs/{job_id}/thumbnail"): "read",
    ("GET", "/events"): "read",
    ("GET", "/usage"): "read",
    # Many images.
    ("GET", "/batches"): "read",
    ("POST", "/batches"): "submit",
    ("GET", "/batches/{name}"): "read",
    ("DELETE", "/batches/{name}"): "submit",
    ("POST", "/batches/{name}/callback/redeliver"): "submit",
    ("POST", "/batches/{name}/cancel"): "submit",
    ("GET", "/batches/{name}/events"): "read",
    ("GET", "/batches/{name}/images"): "read",
    ("PUT", "/batches/{name}/images/{custom_id}"): "submit",
    ("GET", "/batches/{name}/results"): "read",
    ("POST", "/batches/{name}/resume"): "submit",
    ("POST", "/batches/{name}/retry"): "submit",
    ("POST", "/batches/{name}/start"): "submit",
    ("POST", "/batches/{name}/suspend"): "submit",
    ("GET", "/inbox"): "read",
    ("GET", "/inbox/"): "read",
    ("GET", "/inbox/{name}"): "read",
    ("POST", "/inbox/{name}"): "submit",
    ("DELETE", "/inbox/{name}"): "submit",
    # Keys.
    ("GET", "/keys"): "admin",
    ("POST", "/keys"): "admin",
    ("DELETE", "/keys/{id}"): "admin",
}
"""What a client needs, by method and by the template of the path. HEAD needs what GET needs."""
