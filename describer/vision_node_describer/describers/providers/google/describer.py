"""Describes by what Google Cloud Vision recognises: labels, text, faces, unsafe content."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud import vision_v1 as vision
from google.oauth2 import service_account
from google.protobuf.json_format import ParseError
from requests.exceptions import RequestException, TooManyRedirects
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from ...interface import Setup
from ...remote.base import Asking, ProviderOptions
from ...remote.findings import Finding, Findings, describe_findings
from ...remote.upload import Bounds, Upload, prepare, upload_bytes
from .errors import reason_for, reason_for_status, wrong_address
from .transport import AnswerTooLargeError, BoundedTransport

BOUNDS = Bounds(longest=1600)
"""Google's recommendation for faces, the most that any feature asks for
(cloud.google.com/vision/docs/ supported-files). Within it a file stays far below the 10 MB that a
request may have."""

_MAX_LABELS = 20
_MAX_FACES = 50

_THREADS = 16
"""Requests under way: the client has no asynchronous side over HTTP."""

_FEATURES = (
    (vision.Feature.Type.LABEL_DETECTION, _MAX_LABELS),
    (vision.Feature.Type.TEXT_DETECTION, 0),
    (vision.Feature.Type.FACE_DETECTION, _MAX_FACES),
    (vision.Feature.Type.SAFE_SEARCH_DETECTION, 0),
)

# Untyped, as is `close` below.
_from_info: Callable[[Any], Credentials] = service_account.Credentials.from_service_account_info

_UNSAFE = {
    "adult": "adult content",
    "violence": "violence",
    "racy": "racy content",
    "medical": "medical content",
}
_LIKELIHOODS = {
    vision.Likelihood.POSSIBLE: "possibly",
    vision.Likelihood.LIKELY: "likely",
    vision.Likelihood.VERY_LIKELY: "very likely",
}


class GoogleOptions(ProviderOptions):
    """`options` of a Describer with provider google."""

    endpoint: str | None = None
    """Such as eu-vision.googleapis.com, which keeps the picture in the European Union."""


class Google(Asking):
    """Asks Cloud Vision, one request for each picture."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._client = _client(setup, GoogleOptions.of(setup).endpoint)
        self._key = setup.variable("GOOGLE_API_KEY")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="google")

    def memory(self, image: bytes) -> int:
        """Return what decoding and scaling take at most, in bytes."""
        return upload_bytes(image, BOUNDS)

    def prepare(self, image: bytes, options: Options) -> Upload:  # noqa: ARG002
        """Return the picture that is sent."""
        return prepare(image, BOUNDS)

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture, in English whatever `options.language` asks for.

        Raises:
            DescribeError: with one of the reasons in docs/describers/google.md.
        """
        loop = asyncio.get_running_loop()
        found = await self._asked(
            lambda seconds: loop.run_in_executor(
                self._threads, partial(self._annotate, prepared, seconds)
            )
        )
        return describe_findings(found, options, model="cloud-vision", faces_most=_MAX_FACES)

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False)
        self._client.transport.close()  # type: ignore[no-untyped-call]

    def _annotate(self, upload: Upload, seconds: float) -> Findings:
        features = [vision.Feature(type_=kind, max_results=most) for kind, most in _FEATURES]
        request = vision.AnnotateImageRequest(
            image=vision.Image(content=upload.data), features=features
        )

        try:
            answer = self._client.batch_annotate_images(
                requests=[request], retry=None, timeout=seconds
            )
        except TransportError as error:
            raise _unreachable(error) from error
        except GoogleAuthError as error:
            message = "Google refuses the credentials; check the service account, and that its key still exists"
            raise DescribeError(Reason.CREDENTIALS_REFUSED, message) from error
        except GoogleAPICallError as error:
            raise reason_for(error, self._key) from error
        except TooManyRedirects as error:
            raise wrong_address("redirects elsewhere") from error
        except AnswerTooLargeError as error:
            raise DescribeError(Reason.PROVIDER_UNAVAILABLE, f"Google: {error}") from error
        except (RequestException, RetryError, ParseError, UnicodeDecodeError) as error:
            raise _unreachable(error) from error

        return _findings(answer)


def _client(setup: Setup, endpoint: str | None) -> vision.ImageAnnotatorClient:
    """Return a client over HTTP: gRPC has settings of its own for proxies and certificates.

    Raises:
        DescribeError: CredentialsMissing.
    """
    key = setup.variable("GOOGLE_API_KEY")
    options = ClientOptions(api_endpoint=endpoint, api_key=key)
    credentials = None if key else _service_account(setup.variable("GOOGLE_SERVICE_ACCOUNT_JSON"))

    try:
        return vision.ImageAnnotatorClient(
            transport=BoundedTransport, client_options=options, credentials=credentials
        )
    except DefaultCredentialsError as error:
        ways = "set GOOGLE_API_KEY or GOOGLE_SERVICE_ACCOUNT_JSON in the describer's Secret"
        message = f"there are no Google credentials; {ways}, or use Workload Identity"
        raise DescribeError(Reason.CREDENTIALS_MISSING, message) from error


def _service_account(text: str | None) -> Credentials | None:
    if text is None:
        return None

    try:
        return _from_info(json.loads(text))
    except (ValueError, GoogleAuthError):
        message = "GOOGLE_SERVICE_ACCOUNT_JSON is not the JSON key file of a service account"
        raise DescribeError(
            Reason.CREDENTIALS_REFUSED, message
        ) from None  # the cause quotes the key


def _unreachable(error: Exception) -> DescribeError:
    return DescribeError(
        Reason.PROVIDER_UNAVAILABLE,
        f"Google does not answer, or not in its protocol ({type(error).__name__})",
    )


def _findings(answer: vision.BatchAnnotateImagesResponse) -> Findings:
    if not answer.responses:
        raise DescribeError(Reason.EMPTY_ANSWER, "Google answered nothing about the picture")

    image = answer.responses[0]
    if image.error.code:
        raise reason_for_status(image.error.code, image.error.message)

    safe = image.safe_search_annotation
    likelihoods = (
        (name, _LIKELIHOODS.get(getattr(safe, field))) for field, name in _UNSAFE.items()
    )

    return Findings(
        labels=[Finding(label.description, label.score) for label in image.label_annotations],
        # The first entry is the whole text, the others are its words.
        text=image.text_annotations[0].description if image.text_annotations else "",
        faces=len(image.face_annotations),
        unsafe=[f"{likely} {name}" for name, likely in likelihoods if likely],
    )
