"""A steady load: pictures over HTTP and ImageJobs made by hand, each tried until it is acknowledged."""

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
BY_HAND_EACH = 6
"""One of so many is made as with kubectl."""

RETRY_SECONDS = 0.2
GIVE_UP_SECONDS = 90.0
"""A submit that is not acknowledged within this is a failure of the system."""

TIMEOUT_SECONDS = 15
"""The Describer's. Shorter than the operator's pauses: deadlines pass while it can't look."""

MAX_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Picture:
    """An image to submit, and how that must end."""

    name: str
    data: bytes
    expected: Expected
    spec: dict[str, Any] = field(default_factory=dict)
    by_hand: bool = False


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
"""Name, comment, end, spec, whether by hand (only there the attempts can be chosen)."""


def pictures(seed: int, count: int) -> list[Picture]:
    """Return good pictures, no two of one size, and among them some that harm who describes them."""
    dice = random.Random(seed)  # noqa: S311 (repeatable is the point)
    found = [good(index, dice) for index in range(count)]
    for name, comment, expected, spec, by_hand in POISON:
        data = _draw((64, 48), dice, comment)
        found.insert(dice.randrange(count // 3), Picture(name, data, expected, spec, by_hand))
    return found


def good(index: int, dice: random.Random) -> Picture:
    """Return the picture with that number."""
    size = (16 + index % 100, 16 + index // 100)
    by_hand = index % BY_HAND_EACH == 0
    return Picture(f"good-{index}", _draw(size, dice), Expected(size=size), by_hand=by_hand)


def _draw(size: tuple[int, int], dice: random.Random, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    picture = Image.frombytes("RGB", size, dice.randbytes(3 * size[0] * size[1]))
    picture.save(buffer, "JPEG", comment=comment)
    return buffer.getvalue()


def hanging(count: int, **spec: Any) -> list[Picture]:
    """Return pictures that never let go of who describes them, each with one attempt."""
    data = _draw((64, 48), random.Random(0), HANG)  # noqa: S311
    spec = {"maxAttempts": 1, **spec}
    return [Picture(f"hanging-{index}", data, HUNG, spec, by_hand=True) for index in range(count)]


class Load:
    """Submits; every acknowledgement is in `submits`."""

    def __init__(self, run: str, http: httpx.AsyncClient, kube: Kube) -> None:
        self.submits: list[Submit] = []
        self.retries = 0
        self.enough = False
        """Set to have no further ones submitted."""
        self._run = run
        self._http = http
        self._kube = kube

    async def run(self, pictures: list[Picture], per_second: float = PER_SECOND) -> None:
        """Submit them at a steady pace, whatever fails.

        Raises:
            AssertionError: one was refused, or not acknowledged in time.
        """
        async with asyncio.TaskGroup() as tasks:
            for picture in pictures:
                if self.enough:
                    return
                tasks.create_task(self._submit(picture))
                await asyncio.sleep(1 / per_second)

    async def _submit(self, picture: Picture) -> None:
        key = f"{self._run}-{picture.name}"
        attempt = self._create if picture.by_hand else self._post
        job = await self._until_acknowledged(key, lambda: attempt(key, picture))
        self.submits.append(Submit(key, job, picture.expected))

    async def _until_acknowledged(
        self, key: str, attempt: Callable[[], Awaitable[str | None]]
    ) -> str:
        """Repeat an attempt that had no answer, as a client does who must not lose its picture."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while True:
                if job := await attempt():
                    return job
                self.retries += 1
                await asyncio.sleep(RETRY_SECONDS)

    async def _post(self, key: str, picture: Picture) -> str | None:
        """POST /submit; None when it was not answered, or with 5xx."""
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
        """Create the ImageJob at the API server; None when it was not answered."""
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
            return key  # by an attempt whose answer was lost
        except UnavailableError:
            return None

        return key


def inbox_key(picture: Picture) -> str:
    """Where the picture of an ImageJob that is made by hand lies."""
    return f"inbox/fault-{picture.name}.jpg"
