"""Reasons that concern any request: HTTP itself, parameters, and the server."""

from .entry import ReasonEntry

REQUESTS = (
    ReasonEntry(
        "BadRequest",
        (400,),
        "The request can't be read",
        "The request is not valid HTTP/1.1, or its form or JSON is malformed.",
        "Send it with an ordinary HTTP client, and let the client build the form. Percent-encode "
        "characters in the path that are not ASCII.",
    ),
    ReasonEntry(
        "InvalidRequest",
        (422,),
        "A parameter is invalid",
        "A parameter of the path, the query or a header is missing or unknown, has a wrong type or "
        "is out of range.",
        "Correct the parameters that the detail lists. GET /docs describes them.",
    ),
    ReasonEntry(
        "NotFound",
        (404,),
        "The API has no such path",
        "No route has the path of the request.",
        "Check the path, and the path below which a proxy serves the API. GET /docs lists all "
        "routes.",
    ),
    ReasonEntry(
        "ReasonNotFound",
        (404,),
        "Unknown reason",
        "The register of this version of the API has no such reason.",
        "Check the spelling. GET /problems lists all reasons.",
    ),
    ReasonEntry(
        "MethodNotAllowed",
        (405,),
        "The path does not support this method",
        "The path exists, but not with the method of the request.",
        "Use one of the methods in the response's header Allow.",
    ),
    ReasonEntry(
        "RequestTooSlow",
        (408,),
        "The headers arrived too slowly",
        "The request line and the headers did not arrive within 30 seconds.",
        "Send the request again. If this lasts, look for a slow network or a proxy that waits.",
        repeatable=True,
    ),
    ReasonEntry(
        "HeadersTooLarge",
        (431,),
        "The headers are too large",
        "The request line and the headers together exceed 64 KiB.",
        "Send fewer or shorter headers, such as cookies, and a shorter query.",
    ),
    ReasonEntry(
        "InvalidCursor",
        (400, 422),
        "The cursor is invalid",
        "The cursor does not come from a response of this list, or from an older version.",
        "Use the cursor of the previous page unchanged, or start again without one.",
    ),
    ReasonEntry(
        "InvalidName",
        (400, 422),
        "The name is invalid",
        "No batch, or no object in the inbox, can have this name.",
        "Follow the rule in the detail.",
    ),
    ReasonEntry(
        "InternalError",
        (500,),
        "The server failed unexpectedly",
        "The API has a bug, or met a state that it does not expect. It logged the error with the "
        "id in the problem document.",
        "Look for the id in the API's log, and report the error. A repetition may succeed.",
        repeatable=True,
    ),
    ReasonEntry(
        "ServerStopping",
        (503,),
        "The server is shutting down",
        "The replica that served the request stops, for example during an upgrade.",
        "Send the request again, with the same Idempotency-Key if it has one. Another replica "
        "answers.",
        repeatable=True,
    ),
    ReasonEntry(
        "NotReady",
        (503,),
        "The replica is not ready",
        "GET /readyz: the replica has just started, or can't reach what it needs.",
        "Wait. The members of the problem document say what is missing.",
        repeatable=True,
    ),
    ReasonEntry(
        "WatchStopped",
        (500,),
        "A background task has stopped",
        "GET /healthz: a task of the replica has stopped. Kubernetes restarts the pod.",
        "Wait for the restart, and report what the log of the previous container says.",
        repeatable=True,
    ),
)
