"""Describe pictures with the labels, text, faces and unsafe content that Cloud Vision detects."""

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
from ...remote.base import ProviderDescriber, ProviderOptions
from ...remote.findings import Finding, Findings, describe_findings
from ...remote.upload import Bounds, Upload
from .errors import error_for, error_for_status, wrong_address
from .transport import BoundedTransport, ResponseTooLargeError

BOUNDS = Bounds(max_longer=1600)
"""Size that Google recommends for detecting faces. Google recommends no larger size for any feature
(cloud.google.com/vision/docs/supported-files). A file of this size is far below the request limit
of 10 MB."""

_MAX_LABELS = 20
_MAX_FACES = 50

_THREADS = 16
"""Maximum number of concurrent requests. Each takes a thread, because the client has no
asynchronous calls over HTTP."""

_FEATURES = (
    (vision.Feature.Type.LABEL_DETECTION, _MAX_LABELS),
    (vision.Feature.Type.TEXT_DETECTION, 0),
    (vision.Feature.Type.FACE_DETECTION, _MAX_FACES),
    (vision.Feature.Type.SAFE_SEARCH_DETECTION, 0),
)

# This function of Google's library is untyped, as is `close` below.
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
    """Options of a Describer with provider google."""

    endpoint: str | None = None
    """Host to send requests to. For example, eu-vision.googleapis.com keeps the picture in the
    European Union."""


class Google(ProviderDescriber):
    """Sends one request to Cloud Vision for each picture."""

    _bounds = BOUNDS

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._client = _client(setup, GoogleOptions.from_setup(setup).endpoint)
        self._key = setup.variable("GOOGLE_API_KEY")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="google")

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture, in English regardless of `options.language`.

        Raises:
            DescribeError: One of the reasons in docs/describers/google.md.
        """
        loop = asyncio.get_running_loop()
        found = await self._call_provider(
            lambda seconds: loop.run_in_executor(
                self._threads, partial(self._annotate, prepared, seconds)
            )
        )
        return describe_findings(found, options, model="cloud-vision", max_faces=_MAX_FACES)

    async def close(self) -> None:
        """Stop the threads and close the connections."""
        self._threads.shutdown(wait=False)
        self._client.transport.close()  # type: ignore[no-untyped-call]

    def _annotate(self, upload: Upload, seconds: float) -> Findings:
        """Send one request and return the findings. This method is called in a thread."""
        features = [vision.Feature(type_=kind, max_results=count) for kind, count in _FEATURES]
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
            message = (
                "Google rejected the credentials; check that the service account and its key still"
                " exist"
            )
            raise DescribeError(Reason.CREDENTIALS_REFUSED, message) from error
        except GoogleAPICallError as error:
            raise error_for(error, self._key) from error
        except TooManyRedirects as error:
            raise wrong_address("redirects elsewhere") from error
        except ResponseTooLargeError as error:
            raise DescribeError(Reason.PROVIDER_UNAVAILABLE, f"Google: {error}") from error
        except (RequestException, RetryError, ParseError, UnicodeDecodeError) as error:
            raise _unreachable(error) from error

        return _findings(answer)


def _client(setup: Setup, endpoint: str | None) -> vision.ImageAnnotatorClient:
    """Return a client that uses HTTP.

    With gRPC, proxies and certificates would need separate settings.

    Raises:
        DescribeError: CredentialsMissing if there are no credentials; CredentialsRefused if the
            service account's key is invalid.
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
        # The cause is omitted, because it quotes the key.
        raise DescribeError(Reason.CREDENTIALS_REFUSED, message) from None


def _unreachable(error: Exception) -> DescribeError:
    return DescribeError(
        Reason.PROVIDER_UNAVAILABLE,
        f"Google cannot be reached or sent an invalid response ({type(error).__name__})",
    )


def _findings(answer: vision.BatchAnnotateImagesResponse) -> Findings:
    if not answer.responses:
        raise DescribeError(Reason.EMPTY_ANSWER, "Google's answer about the picture is empty")

    image = answer.responses[0]
    if image.error.code:
        raise error_for_status(image.error.code, image.error.message)

    safe = image.safe_search_annotation
    likelihoods = (
        (name, _LIKELIHOODS.get(getattr(safe, field))) for field, name in _UNSAFE.items()
    )

    return Findings(
        labels=[Finding(label.description, label.score) for label in image.label_annotations],
        # The first entry is the whole text; the others are its words.
        text=image.text_annotations[0].description if image.text_annotations else "",
        faces=len(image.face_annotations),
        unsafe=[f"{likely} {name}" for name, likely in likelihoods if likely],
    )
