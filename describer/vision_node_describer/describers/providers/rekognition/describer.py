"""Describes by what Amazon Rekognition recognises: labels, text, faces, unsafe content."""

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
from ...remote.base import Asking, ProviderOptions, host_of
from ...remote.findings import POSSIBLE, Finding, Findings, describe_findings, with_share
from ...remote.upload import Bounds, Upload, prepare, upload_bytes
from .errors import is_of_protocol, no_protocol, reason_for
from .transport import bound

BOUNDS = Bounds(longest=1920, least=80)
"""It refuses less than 80 pixels, and finds faces of 40 in a picture of 1920
(docs.aws.amazon.com/rekognition/latest/dg/limits.html). So large, a file stays below the
5 MB that a request may have."""

_MAX_FACES = 100
"""DetectFaces returns the hundred largest."""

_MAX_LABELS = 20

_THREADS = 16
"""Requests under way: boto3 has no asynchronous side."""

_CONNECT_SECONDS = 5.0

Feature = Literal["labels", "text", "faces", "moderation"]

_OPERATIONS: dict[Feature, tuple[str, dict[str, float]]] = {
    "labels": ("detect_labels", {"MaxLabels": _MAX_LABELS, "MinConfidence": 100 * POSSIBLE}),
    "text": ("detect_text", {}),
    "faces": ("detect_faces", {}),
    "moderation": ("detect_moderation_labels", {"MinConfidence": 100 * POSSIBLE}),
}


class RekognitionOptions(ProviderOptions):
    """`options` of a Describer with provider rekognition."""

    features: list[Feature] = Field(default=["labels", "text", "faces", "moderation"], min_length=1)
    """Each is a request of its own, and paid for."""
    endpoint: str | None = None
    """Such as a VPC endpoint's address."""


class Rekognition(Asking):
    """Asks Rekognition, one request for each picture and feature."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = RekognitionOptions.of(setup)
        self._features = options.features
        self.requests_per_image = len(options.features)
        self._clients = _Clients(setup, options.endpoint)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="rekognition")

    def memory(self, image: bytes) -> int:
        """Return what decoding and scaling take at most, in bytes."""
        return upload_bytes(image, BOUNDS)

    def prepare(self, image: bytes, options: Options) -> Upload:  # noqa: ARG002
        """Return the picture that is sent."""
        return prepare(image, BOUNDS)

    async def ask(self, prepared: Upload, options: Options) -> Description:
        """Describe one picture, in English whatever `options.language` asks for.

        Raises:
            DescribeError: with one of the reasons in docs/describers/rekognition.md.
        """
        answers = await asyncio.gather(
            *(self._detected(feature, prepared) for feature in self._features)
        )
        found = _findings(dict(zip(self._features, answers, strict=True)))
        return describe_findings(found, options, model="rekognition", faces_most=_MAX_FACES)

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False)
        self._clients.close()

    async def _detected(self, feature: Feature, upload: Upload) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        return await self._asked(
            lambda seconds: loop.run_in_executor(
                self._threads, self._detect, feature, upload, seconds
            )
        )

    def _detect(self, feature: Feature, upload: Upload, seconds: float) -> dict[str, Any]:
        operation, most = _OPERATIONS[feature]
        call = getattr(self._clients.waiting(seconds), operation)
        try:
            answer: dict[str, Any] = call(Image={"Bytes": upload.data}, **most)
        except (ClientError, BotoCoreError) as error:
            raise reason_for(error) from error
        except ValueError as error:  # what is no text, which boto3 lets through
            raise no_protocol() from error

        if not is_of_protocol(answer):
            raise no_protocol()

        return answer


class _Clients:
    """Clients by how long they wait for an answer, which boto3 sets once for all of a client's requests.

    A wait is rounded up to a power of two seconds, so that there are a dozen at most: waiting
    longer than an attempt has does no harm but to a thread.
    """

    def __init__(self, setup: Setup, endpoint: str | None) -> None:
        self._make = partial(_client, setup, endpoint)
        self._lock = Lock()  # making one is not safe in threads
        self._by_seconds: dict[int, Any] = {}
        self.waiting(setup.timeout_seconds)  # what is wrong with the settings shows at once

    def waiting(self, seconds: float) -> Any:
        """Return a client that waits for so long, or for up to twice as long."""
        rounded = 1 << max(0, math.ceil(math.log2(max(seconds, 1))))
        with self._lock:
            if rounded not in self._by_seconds:
                self._by_seconds[rounded] = self._make(rounded)
            return self._by_seconds[rounded]

    def close(self) -> None:
        """Close all connections."""
        for client in self._by_seconds.values():
            client.close()


def _client(setup: Setup, endpoint: str | None, seconds: float) -> Any:
    """Return a client that repeats nothing. Keys come from the Secret, or from the pod's identity (IRSA).

    Raises:
        DescribeError: OptionsInvalid: no region is set, or it or the endpoint is none.
    """
    region = setup.variable("AWS_REGION") or setup.variable("AWS_DEFAULT_REGION")
    if not region:
        message = "AWS_REGION is not set; add it to the describer's Secret or env"
        raise DescribeError(Reason.OPTIONS_INVALID, message)

    if endpoint is not None:
        host_of(endpoint, "the Describer's option endpoint")

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
        raise reason_for(error) from error

    return bound(client)


def _findings(answers: dict[Feature, dict[str, Any]]) -> Findings:
    text = _list(answers, "text", "TextDetections")
    return Findings(
        labels=[_finding(label) for label in _list(answers, "labels", "Labels")],
        text="\n".join(line.get("DetectedText", "") for line in text if line.get("Type") == "LINE"),
        faces=len(_list(answers, "faces", "FaceDetails")),
        unsafe=[
            with_share(_finding(label))
            for label in _list(answers, "moderation", "ModerationLabels")
        ],
    )


def _list(
    answers: dict[Feature, dict[str, Any]], feature: Feature, name: str
) -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = answers.get(feature, {}).get(name, [])
    return found


def _finding(label: dict[str, Any]) -> Finding:
    return Finding(label.get("Name", ""), label.get("Confidence", 0.0) / 100)
