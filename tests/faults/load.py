"""Generate a steady load of images sent over HTTP and of ImageJobs created directly.

Each submission is retried until it is acknowledged.
"""

import asyncio
import io
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image
from vision_node_contract.clients.kube import AlreadyExistsError, Kube, UnavailableError
from vision_node_contract.names import GROUP, KIND, PLURAL, VERSION, path_of

from cluster.release import NAMESPACE
from faults.faulty import CRASH, EXHAUST_MEMORY, HANG
from faults.history import Expected, Submit

IMAGEJOBS = path_of(PLURAL, NAMESPACE)

DESCRIBER = "faulty"

PER_SECOND = 4.0
"""Default number of images to submit per second."""

DIRECT_EVERY = 6
"""Every sixth ImageJob is created directly through the API server, as with kubectl."""

RETRY_SECONDS = 0.2
GIVE_UP_SECONDS = 90.0
"""Maximum time until a submission is acknowledged. If it takes longer, the test fails."""

TIMEOUT_SECONDS = 15
"""Timeout of the Describer. It is shorter than the operator's pauses, so that the deadlines of
attempts expire during a pause."""

MAX_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Picture:
    """An image to submit, and the required outcome of its ImageJob."""

    name: str
    data: bytes
    expected: Expected
    spec: dict[str, Any] = field(default_factory=dict)
    direct: bool = False
    """Whether to create the ImageJob through the API server instead of `POST /submit`."""


OUT_OF_MEMORY = Expected("failed", frozenset({"OutOfMemory"}))
CRASHED = Expected("failed", frozenset({"DescriberFailed"}))
HUNG = Expected("failed", frozenset({"AttemptsExhausted"}))

POISON: list[tuple[str, bytes, Expected, dict[str, Any], bool]] = [
    ("memory-1", EXHAUST_MEMORY, OUT_OF_MEMORY, {}, False),
    ("memory-2", EXHAUST_MEMORY, OUT_OF_MEMORY, {}, True),
    ("crash", CRASH, CRASHED, {}, False),
    ("hang-1", HANG, HUNG, {"maxAttempts": 2}, True),
    ("hang-2", HANG, HUNG, {"maxAttempts": 2}, True),
]
"""Harmful images: name, comment, required outcome, spec, and whether to create the ImageJob
directly. Only an ImageJob that is created directly can set maxAttempts."""


def pictures(seed: int, count: int) -> list[Picture]:
    """Return `count` good images of different sizes, mixed with the harmful images of POISON."""
    dice = random.Random(seed)  # noqa: S311 (runs must be repeatable)
    found = [good(index, dice) for index in range(count)]

    for name, comment, expected, spec, direct in POISON:
        data = draw((64, 48), dice, comment)
        found.insert(dice.randrange(count // 3), Picture(name, data, expected, spec, direct))

    return found


def good(index: int, dice: random.Random) -> Picture:
    """Return a good image. Its index determines its size."""
    size = (16 + index % 100, 16 + index // 100)
    direct = index % DIRECT_EVERY == 0
    return Picture(f"good-{index}", draw(size, dice), Expected(size=size), direct=direct)


def draw(size: tuple[int, int], dice: random.Random, comment: bytes = b"") -> bytes:
    """Return a JPEG file with random pixels and a comment."""
    buffer = io.BytesIO()
    picture = Image.frombytes("RGB", size, dice.randbytes(3 * size[0] * size[1]))
    picture.save(buffer, "JPEG", comment=comment)
    return buffer.getvalue()


def hanging(count: int, **spec: Any) -> list[Picture]:
    """Return images that make a worker hang forever. Each may have only one attempt."""
    data = draw((64, 48), random.Random(0), HANG)  # noqa: S311
    spec = {"maxAttempts": 1, **spec}
    return [Picture(f"hanging-{index}", data, HUNG, spec, direct=True) for index in range(count)]


class Load:
    """Submits images and records every acknowledgment in `submits`."""

    def __init__(self, run: str, http: httpx.AsyncClient, kube: Kube) -> None:
        self.submits: list[Submit] = []
        self.retries = 0
        self.stopped = False
        """Set this to True to stop submitting images."""
        self._run = run
        self._http = http
        self._kube = kube

    async def run(self, pictures: list[Picture], per_second: float = PER_SECOND) -> None:
        """Submit the images at a steady rate, even while parts of the system fail.

        Raises:
            AssertionError: a submission was refused.
            TimeoutError: a submission was not acknowledged in time.
        """
        async with asyncio.TaskGroup() as tasks:
            for picture in pictures:
                if self.stopped:
                    return

                tasks.create_task(self._submit(picture))
                await asyncio.sleep(1 / per_second)

    async def _submit(self, picture: Picture) -> None:
        key = f"{self._run}-{picture.name}"
        attempt = self._create if picture.direct else self._post
        job = await self._until_acknowledged(key, lambda: attempt(key, picture))
        self.submits.append(Submit(key, job, picture.expected))

    async def _until_acknowledged(
        self, key: str, attempt: Callable[[], Awaitable[str | None]]
    ) -> str:
        """Repeat a submission until it is acknowledged, as careful clients do."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while True:
                if job := await attempt():
                    return job
                self.retries += 1
                await asyncio.sleep(RETRY_SECONDS)

    async def _post(self, key: str, picture: Picture) -> str | None:
        """Send POST /submit and return the ID of the job.

        Return None if no response arrived or if its status was 5xx.
        """
        try:
            answer = await self._http.post(
                "/submit",
                files={"file": ("image", picture.data)},
                data={"describer": DESCRIBER},
                headers={"Idempotency-Key": key},
            )
        except httpx.TransportError:
            return None

        if answer.status_code >= 500:
            return None

        assert answer.status_code == 202, f"{key}: {answer.status_code} {answer.text}"
        return str(answer.json()["job_id"])

    async def _create(self, key: str, picture: Picture) -> str | None:
        """Create the ImageJob directly through the API server and return its name.

        Return None if the API server was unavailable.
        """
        spec = {"image": {"key": inbox_key(picture)}, "describer": DESCRIBER, **picture.spec}
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": key},
            "spec": spec,
        }

        try:
            await self._kube.request("POST", IMAGEJOBS, body=body)
        except AlreadyExistsError:
            return key  # an earlier request created it, but the response was lost
        except UnavailableError:
            return None

        return key


def inbox_key(picture: Picture) -> str:
    """Return the object key of an image whose ImageJob is created directly."""
    return f"inbox/fault-{picture.name}.jpg"
