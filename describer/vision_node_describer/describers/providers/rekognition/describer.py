"""Describe pictures with the labels, text, faces and unsafe content that Rekognition detects."""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason

from ...interface import Setup
from ...remote.base import ProviderDescriber, ProviderOptions, host_of
from ...remote.findings import POSSIBLE, Finding, Findings, describe_findings, with_confidence
from ...remote.upload import Bounds, Upload
from .errors import error_for, is_json_answer, wrong_protocol
from .transport import limit_responses

BOUNDS = Bounds(max_longer=1920, min_side=80)
"""Rekognition rejects pictures with a side of less than 80 pixels. In a picture whose longer side
is 1920 pixels, it finds faces of 40 pixels or more
(docs.aws.amazon.com/rekognition/latest/dg/limits.html). A file of this size is below the request
limit of 5 MB."""

_MAX_FACES = 100
"""Maximum number of faces that DetectFaces returns. It returns the largest ones."""

_MAX_LABELS = 20

_THREADS = 16
"""Maximum number of concurrent requests. Each takes a thread, because boto3 has no asynchronous
calls."""

_CONNECT_SECONDS = 5.0

Feature = Literal["labels", "text", "faces", "moderation"]

_OPERATIONS: dict[Feature, tuple[str, dict[str, float]]] = {
    "labels": ("detect_labels", {"MaxLabels": _MAX_LABELS, "MinConfidence": 100 * POSSIBLE}),
    "text": ("detect_text", {}),
    "faces": ("detect_faces", {}),
    "moderation": ("detect_moderation_labels", {"MinConfidence": 100 * POSSIBLE}),
}


class RekognitionOptions(ProviderOptions):
    """Options of a Describer with provider rekognition."""

    features: list[Feature] = Field(default=["labels", "text", "faces", "moderation"], min_length=1)
    """Features to detect. Each one takes a separate request, which costs money."""
    endpoint: str | None = None
    """Address to send requests to, such as that of a VPC endpoint."""


class Rekognition(ProviderDescriber):
    """Sends one request to Rekognition for each picture and feature."""

    _bounds = BOUNDS

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = RekognitionOptions.from_setup(setup)
        self.requests_per_image = len(options.features)
        self._features = options.features
        self._clients = _Clients(setup, options.endpoint)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="rekognition")

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture, in English regardless of `options.language`.

        Raises:
            DescribeError: One of the reasons in docs/describers/rekognition.md.
        """
        answers = await asyncio.gather(
            *(self._detect_in_thread(feature, prepared) for feature in self._features)
        )
        found = _findings(dict(zip(self._features, answers, strict=True)))
        return describe_findings(found, options, model="rekognition", max_faces=_MAX_FACES)

    async def close(self) -> None:
        """Stop the threads and close the connections."""
        self._threads.shutdown(wait=False)
        self._clients.close()

    async def _detect_in_thread(self, feature: Feature, upload: Upload) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        return await self._call_provider(
            lambda seconds: loop.run_in_executor(
                self._threads, self._detect, feature, upload, seconds
            )
        )

    def _detect(self, feature: Feature, upload: Upload, seconds: float) -> dict[str, Any]:
        """Send the request for one feature, and return the answer.

        This method is called in a thread.
        """
        operation, parameters = _OPERATIONS[feature]
        call = getattr(self._clients.with_timeout(seconds), operation)

        try:
            answer: dict[str, Any] = call(Image={"Bytes": upload.data}, **parameters)
        except (ClientError, BotoCoreError) as error:
            raise error_for(error) from error
        except ValueError as error:  # raised if the body contains invalid text
            raise wrong_protocol() from error

        if not is_json_answer(answer):
            raise wrong_protocol()

        return answer


class _Clients:
    """Creates a client for each timeout, because a boto3 client uses one timeout for all requests.

    Timeouts are rounded up to a power of two seconds, so that at most a dozen clients are created.
    If a request outlasts its attempt as a result, it only keeps a thread busy.
    """

    def __init__(self, setup: Setup, endpoint: str | None) -> None:
        self._create = partial(_client, setup, endpoint)
        self._lock = Lock()  # creating a client is not thread-safe
        self._by_seconds: dict[int, Any] = {}

        self.with_timeout(setup.timeout_seconds)  # raises an error if the settings are invalid

    def with_timeout(self, seconds: float) -> Any:
        """Return a client whose timeout is between `seconds` and twice that."""
        rounded = 1 << max(0, math.ceil(math.log2(max(seconds, 1))))
        with self._lock:
            if rounded not in self._by_seconds:
                self._by_seconds[rounded] = self._create(rounded)
            return self._by_seconds[rounded]

    def close(self) -> None:
        """Close all connections."""
        for client in self._by_seconds.values():
            client.close()


def _client(setup: Setup, endpoint: str | None, seconds: float) -> Any:
    """Return a client that never retries requests.

    Its credentials come from the Secret or from the pod's identity (IRSA).

    Raises:
        DescribeError: CredentialsMissing if neither a region nor a key is set; OptionsInvalid if
            only the region is missing, or if it or the endpoint is invalid.
    """
    region = _region(setup)
    if endpoint is not None:
        host_of(endpoint, "the Describer's option `endpoint`")

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=seconds,
        max_pool_connections=_THREADS,
        retries={"total_max_attempts": 1},
    )

    try:
        client = boto3.session.Session().client(
            "rekognition",
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=setup.variable("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=setup.variable("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=setup.variable("AWS_SESSION_TOKEN"),
            config=config,
        )
    except BotoCoreError as error:
        raise error_for(error) from error

    return limit_responses(client)


def _region(setup: Setup) -> str:
    region = setup.variable("AWS_REGION") or setup.variable("AWS_DEFAULT_REGION")
    if not region and not setup.variable("AWS_ACCESS_KEY_ID"):
        message = (
            "neither AWS_REGION nor AWS_ACCESS_KEY_ID is set; add the region to the describer's "
            "Secret or env, and the key, unless the pod has a role"
        )
        raise DescribeError(Reason.CREDENTIALS_MISSING, message)

    if not region:
        message = "AWS_REGION is not set; add it to the describer's Secret or env"
        raise DescribeError(Reason.OPTIONS_INVALID, message)

    return region


def _findings(answers: dict[Feature, dict[str, Any]]) -> Findings:
    text = _entries(answers, "text", "TextDetections")
    return Findings(
        labels=[_finding(label) for label in _entries(answers, "labels", "Labels")],
        text="\n".join(line.get("DetectedText", "") for line in text if line.get("Type") == "LINE"),
        faces=len(_entries(answers, "faces", "FaceDetails")),
        unsafe=[
            with_confidence(_finding(label))
            for label in _entries(answers, "moderation", "ModerationLabels")
        ],
    )


def _entries(
    answers: dict[Feature, dict[str, Any]], feature: Feature, name: str
) -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = answers.get(feature, {}).get(name, [])
    return found


def _finding(label: dict[str, Any]) -> Finding:
    return Finding(label.get("Name", ""), label.get("Confidence", 0.0) / 100)
