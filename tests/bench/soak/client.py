"""Process one image as a careful client does: submit it, poll its job, and check its result."""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from vision_node_contract.names import SIGNATURE

from bench.errors import BenchError
from bench.load import JOB_SECONDS, LONGEST_POLL_SECONDS, POLL_GROWTH
from bench.measure.pictures_1080p import Picture
from bench.plan import NOTHING, POLL_SECONDS
from bench.soak.results import Outcome, Tally

CHECK_EVERY = 100
"""The results of the first job and then of every hundredth are checked, because reading all results
would be a load of its own."""

BUSY = frozenset({429, 503})
"""Status codes that ask the client to try again later."""

NO_RESPONSE = "no response"

MAX_PROBLEMS = 100
"""Number of problems after which the test is stopped, because all its other images would fail."""

MAX_MESSAGE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a client repeats a request. Together, this is about two minutes."""

    tries: int = 10
    first_seconds: float = 0.5
    """Delay before the first repetition. It doubles each time."""
    max_seconds: float = 30.0
    """Maximum delay, even if Retry-After asks for more."""

    def delay(self, repeated: int, retry_after: float, chance: float) -> float:
        """Return how long to wait.

        `chance` is between 0 and 1. With it, clients do not all return at the same moment.
        """
        backoff = self.first_seconds * 2.0**repeated
        return min(self.max_seconds, max(retry_after, backoff * (0.5 + chance / 2)))


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the API."""

    status: int
    body: bytes
    retry_after: float = 0.0

    def json(self) -> dict[str, Any]:
        """Return the parsed body, or an empty object if it is not a JSON object."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        text = self.body[:MAX_MESSAGE_CHARACTERS].decode(errors="replace")
        return f"{self.status} {text}"


class _GaveUpError(Exception):
    """A request did not succeed after all repetitions."""


class SoakClient:
    """Processes images and counts what happens to them. Clients can share it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        picture: Picture,
        tally: Tally,
        patience: Patience = Patience(),
    ) -> None:
        self._session = session
        self._tally = tally
        self._patience = patience
        self._picture = picture
        self.acknowledged: dict[str, int] = {}
        """The numbers of all acknowledged images, by the ids of their jobs. All of them must be in
        the history at the end. A million take 150 MB."""

    async def process(self, number: int) -> str | None:
        """Process an image, count its outcome, and return its job's id if it was acknowledged.

        Raises:
            BenchError: There have been so many problems that the test is useless.
        """
        job = await self._submit(number)
        if job:
            done = await self._until_done(job)
            if done and number % CHECK_EVERY == 1:
                await self._check(job)

        if self._tally.problems > MAX_PROBLEMS:
            first = "\n".join(self._tally.messages)
            raise BenchError(
                f"soak: stopped after {self._tally.problems} problems. The first:\n{first}"
            )

        return job

    async def _submit(self, number: int) -> str | None:
        # An Idempotency-Key would cost the API a read for each image. Without one, an image whose
        # answer is lost has two jobs, which are both archived.
        headers = {"Content-Type": self._picture.content_type}
        form = self._picture.form(NOTHING, f"{planted_word(number)}.jpg")
        try:
            answer = await self._request("POST", "/submit", data=form, headers=headers)
        except _GaveUpError as error:
            answer, message = None, str(error)
        else:
            message = str(answer)

        job = answer.json().get("job_id") if answer and answer.status == 202 else None
        if not isinstance(job, str):
            self._tally.refused += 1
            self._tally.note(f"image {number}: not accepted: {message}")
            return None

        self.acknowledged[job] = number
        return job

    async def is_done(self, job: str) -> bool:
        """Return whether the API says that a job is done, wherever it is stored by now."""
        answer = await self._answer(f"/status/{job}")
        return answer is not None and _outcome(answer) == "done"

    async def finds(self, job: str) -> bool:
        """Return whether a search for the image's planted word finds its job."""
        word = planted_word(self.acknowledged[job])
        answer = await self._answer(f"/jobs?q={word}")
        return answer is not None and answer.status == 200 and job.encode() in answer.body

    async def _answer(self, path: str) -> Answer | None:
        try:
            return await self._request("GET", path)
        except _GaveUpError as error:
            self._tally.note(str(error))
            return None

    async def _until_done(self, job: str) -> bool:
        """Poll a job until it ends, and count its outcome."""
        deadline = time.monotonic() + JOB_SECONDS
        poll_seconds = POLL_SECONDS

        while time.monotonic() < deadline:
            try:
                answer = await self._request("GET", f"/status/{job}")
            except _GaveUpError as error:
                return self._tally.count("unfinished", f"job {job}: {error}")

            if outcome := _outcome(answer):
                return self._tally.count(outcome, f"job {job}: {outcome}: {answer}")

            await asyncio.sleep(poll_seconds)
            poll_seconds = min(LONGEST_POLL_SECONDS, poll_seconds * POLL_GROWTH)

        return self._tally.count("unfinished", f"job {job}: not finished after {JOB_SECONDS:g} s")

    async def _check(self, job: str) -> None:
        self._tally.results_checked += 1
        try:
            answer = await self._request("GET", f"/result/{job}")
        except _GaveUpError as error:
            found, message = None, str(error)
        else:
            found, message = answer.json().get("_generated_by"), str(answer)

        if found != SIGNATURE:
            self._tally.results_wrong += 1
            self._tally.note(f"job {job}: its result is not from {SIGNATURE}: {message}")

    async def _request(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, and repeat it while the API is busy or does not respond.

        Raises:
            _GaveUpError: The last repetition was not answered, either.
        """
        problem = ""

        for repeated in range(self._patience.tries):
            answer, problem = await self._send(method, path, data, headers)
            if answer and answer.status not in BUSY:
                return answer
            if repeated + 1 == self._patience.tries:
                break

            name = str(answer.status) if answer else NO_RESPONSE
            self._tally.retries[name] = self._tally.retries.get(name, 0) + 1
            retry_after = answer.retry_after if answer else 0.0
            chance = random.random()  # noqa: S311 (not used for security)
            await asyncio.sleep(self._patience.delay(repeated, retry_after, chance))

        raise _GaveUpError(
            f"{method} {path}: gave up after {self._patience.tries} tries: {problem}"
        )

    async def _send(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str] | None
    ) -> tuple[Answer | None, str]:
        """Send a request once. Return the answer, or None, and a text for messages."""
        try:
            async with self._session.request(method, path, data=data, headers=headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, repr(error)

        answer = Answer(response.status, body, _seconds(response.headers.get("Retry-After")))
        return answer, str(answer)


def planted_word(number: int) -> str:
    """Return the word by which an image is found. No other image's word begins with it."""
    return f"soak{number:09d}"


def _outcome(answer: Answer) -> Outcome | None:
    """Return a job's outcome according to its status, or None while the job is in progress."""
    if answer.status == 404:
        return "lost"
    if answer.status != 200:
        return "unfinished"

    match answer.json().get("status"):
        case "done":
            return "done"
        case "failed":
            return "failed"
        case _:
            return None


def _seconds(retry_after: str | None) -> float:
    """Return the seconds in a Retry-After header, or 0 if it has another form or is missing."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
