"""A fake Google Cloud Vision server with a REST API.

See cloud.google.com/vision/docs/reference/rest/v1/images/annotate.
"""

import base64
from collections import deque
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "AIzaRight-0123456789"

Json = dict[str, Any]

FOUND: Json = {
    "labelAnnotations": [
        {"description": "Dog", "score": 0.974, "mid": "/m/0bt9lr"},
        {"description": "Grass", "score": 0.81},
        {"description": "Cat", "score": 0.55},
        {"description": "Ghost", "score": 0.2},
    ],
    "textAnnotations": [
        {"description": "BEWARE\nOF THE DOG", "locale": "en"},
        {"description": "BEWARE"},
        {"description": "OF"},
    ],
    "faceAnnotations": [{"detectionConfidence": 0.9}, {"detectionConfidence": 0.8}],
    "safeSearchAnnotation": {
        "adult": "VERY_UNLIKELY",
        "violence": "LIKELY",
        "racy": "UNKNOWN",
        "medical": "POSSIBLE",
    },
}


def error(status: int, message: str, *, reason: str = "", **headers: str) -> Response:
    """Return an error in Google's format (google.rpc.Status with ErrorInfo)."""
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "googleapis.com",
        }
    ]
    body = {
        "error": {
            "code": status,
            "message": message,
            "status": "X",
            "details": details if reason else [],
        }
    }

    return JSONResponse(body, status, headers)


FAULTS: dict[str, Response] = {
    "rate_limited": error(429, "Quota exceeded for quota metric", **{"retry-after": "9"}),
    "no_billing": error(403, "This API method requires billing", reason="BILLING_DISABLED"),
    "no_api": error(
        403, "Cloud Vision API has not been used in project 1", reason="SERVICE_DISABLED"
    ),
    "server_error": error(500, "Internal error"),
    "unavailable": error(503, "The service is unavailable"),
    "bad_request": error(400, "Request must specify image and features"),
    "html": Response("<html>Log in</html>", media_type="text/html"),
    "nothing": JSONResponse({"responses": []}),
    "bad_image": JSONResponse(
        {"responses": [{"error": {"code": 3, "message": "Bad image data."}}]}
    ),
    "busy_image": JSONResponse({"responses": [{"error": {"code": 14, "message": "Try again."}}]}),
    "blank": JSONResponse({"responses": [{}]}),
}


class FakeVision:
    """The fake server's state and its ASGI application."""

    def __init__(self) -> None:
        self.next: deque[str] = deque()
        self.requests: list[Json] = []
        self.app = Starlette(
            routes=[Route("/v1/images:annotate", self._annotate, methods=["POST"])]
        )

    async def _annotate(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        if request.headers.get("x-goog-api-key") != KEY:
            return error(
                400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID"
            )
        if self.next:
            return FAULTS[self.next.popleft()]

        (asked,) = body["requests"]
        assert base64.b64decode(asked["image"]["content"], validate=True)
        return JSONResponse({"responses": [FOUND]})
