"""A fake Amazon Rekognition server that uses the AWS JSON 1.1 protocol.

See docs.aws.amazon.com/rekognition/latest/APIReference. The library moto cannot replace it, because
moto supports neither DetectFaces nor DetectModerationLabels.
"""

import base64
from collections import deque
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY_ID = "AKIARIGHT0123456789A"

Json = dict[str, Any]

_JSON = "application/x-amz-json-1.1"

FOUND: dict[str, Json] = {
    "DetectLabels": {
        "Labels": [
            {"Name": "Dog", "Confidence": 97.4, "Parents": [{"Name": "Animal"}]},
            {"Name": "Grass", "Confidence": 81.0},
            {"Name": "Cat", "Confidence": 55.0},
        ],
        "LabelModelVersion": "3.0",
    },
    "DetectText": {
        "TextDetections": [
            {"DetectedText": "BEWARE", "Type": "LINE", "Id": 0, "Confidence": 99.0},
            {"DetectedText": "OF THE DOG", "Type": "LINE", "Id": 1, "Confidence": 98.0},
            {"DetectedText": "BEWARE", "Type": "WORD", "Id": 2, "ParentId": 0, "Confidence": 99.0},
        ]
    },
    "DetectFaces": {"FaceDetails": [{"Confidence": 99.0}]},
    "DetectModerationLabels": {
        "ModerationLabels": [{"Name": "Violence", "Confidence": 83.2, "ParentName": ""}],
        "ModerationModelVersion": "7.0",
    },
}

FAULTS: dict[str, tuple[int, str]] = {
    "AccessDeniedException": (400, "User: arn:aws:iam::1:user/x is not authorized"),
    "ExpiredTokenException": (400, "The security token included in the request is expired"),
    "ImageTooLargeException": (400, "Image dimensions exceed the limit"),
    "InternalServerError": (500, "Internal server error"),
    "InvalidImageFormatException": (400, "Request has invalid image format"),
    "InvalidParameterException": (400, "Request has invalid parameters"),
    "ProvisionedThroughputExceededException": (400, "Rate exceeded"),
    "ServiceUnavailableException": (503, "Service unavailable"),
    "ThrottlingException": (400, "Slow down"),
}


def error(code: str) -> Response:
    """Return the error with this code in AWS's format."""
    status, message = FAULTS[code]
    body = {"__type": f"com.amazonaws.rekognition#{code}", "message": message}
    return JSONResponse(body, status, {"retry-after": "4"}, media_type=_JSON)


class FakeRekognition:
    """The fake server's state and its ASGI application.

    Each fault in `next` is the response to one request.
    """

    def __init__(self) -> None:
        self.next: deque[str] = deque()
        self.requests: list[tuple[str, Json]] = []
        self.app = Starlette(
            routes=[
                Route("/", self._detect, methods=["POST"]),
                Route("/credentials", self._credentials),
            ]
        )

    async def _detect(self, request: Request) -> Response:
        operation = request.headers["x-amz-target"].removeprefix("RekognitionService.")
        body = await request.json()
        self.requests.append((operation, body))
        assert request.headers["content-type"] == _JSON
        if f"Credential={KEY_ID}/" not in request.headers.get("authorization", ""):
            message = f"The security token {KEY_ID} included in the request is invalid."
            return JSONResponse({"__type": "UnrecognizedClientException", "message": message}, 400)
        if self.next:
            return error(self.next.popleft())

        assert base64.b64decode(body["Image"]["Bytes"], validate=True)
        return JSONResponse(FOUND[operation], media_type=_JSON)

    async def _credentials(self, request: Request) -> Response:
        """Return credentials in the format of the EKS Pod Identity agent."""
        credentials = {"AccessKeyId": KEY_ID, "SecretAccessKey": "s", "Token": "t"}
        return JSONResponse(credentials | {"Expiration": "2099-01-01T00:00:00Z"})
