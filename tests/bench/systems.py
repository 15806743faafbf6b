"""Clients for the three systems. Benchmarks use them to submit images and poll jobs."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Protocol

import aiohttp

from bench.errors import BenchError
from bench.measure.kube_api import KubeApi
from bench.measure.pictures_1080p import Picture
from cluster.release import NAMESPACE

Json = dict[str, Any]

IMAGEJOBS = f"/apis/vision-node.dev/v1alpha1/namespaces/{NAMESPACE}/imagejobs"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"

REQUEST_SECONDS = 60.0
IDLE_SECONDS = 2.0
"""How long an idle connection is kept for reuse. uvicorn closes idle connections after 5 s."""

BUSY_SECONDS = 0.5
"""How many seconds to wait before repeating a submission that was rejected with 429 or 503."""


class System(Protocol):
    """A system that the benchmark measures."""

    name: str

    async def submit(self, picture: Picture, describer: str) -> str:
        """Submit an image, and return the job's id."""
        ...

    async def is_done(self, job: str) -> bool:
        """Return whether a job is done.

        Raises:
            BenchError: The job failed.
        """
        ...

    async def any_unfinished(self) -> bool:
        """Return whether any job is unfinished. This needs only one request.

        Raises:
            BenchError: A job failed.
        """
        ...


class HttpSystem:
    """A system with vision-node's HTTP API or a similar one."""

    headers: ClassVar[Mapping[str, str]] = {}
    """Headers of submissions."""
    accepted = 202
    """HTTP status of an accepted submission."""

    def __init__(self, name: str, session: aiohttp.ClientSession) -> None:
        self.name = name
        self.turned_away = 0
        """Number of submissions that were rejected with 429 or 503 and then repeated."""
        self._session = session

    async def submit(self, picture: Picture, describer: str) -> str:
        """Submit an image, and return the job's id."""
        form = picture.form(describer)
        headers = {"Content-Type": picture.content_type, **self.headers}
        while True:
            async with self._session.post("/submit", data=form, headers=headers) as answer:
                body = await answer.read()

            if answer.status == self.accepted:
                return self._job_of(json.loads(body))
            if answer.status not in {429, 503}:
                raise BenchError(
                    f"{self.name}: submission failed with {answer.status}: {body.decode()}"
                )

            self.turned_away += 1
            await asyncio.sleep(BUSY_SECONDS)

    def _job_of(self, submitted: Json) -> str:
        if submitted["status"] == "failed":
            raise BenchError(f"{self.name}: {submitted}")
        return str(submitted["job_id"])

    async def is_done(self, job: str) -> bool:
        """Return whether a job is done according to the API."""
        async with self._session.get(f"/status/{job}") as answer:
            status = json.loads(await answer.read())
        if not answer.ok or status["status"] == "failed":
            raise BenchError(f"{self.name}: job {job}: {status}")
        return bool(status["status"] == "done")


class Celery(HttpSystem):
    """The classic design with Celery."""

    async def any_unfinished(self) -> bool:
        """Return whether the API reports unfinished jobs."""
        async with self._session.get("/unfinished") as answer:
            counts = json.loads(await answer.read())
        if counts["failed"]:
            raise BenchError(f"{self.name}: {counts['failed']} jobs failed")
        return bool(counts["unfinished"])


class VisionNode(HttpSystem):
    """vision-node, the system that this project provides."""

    def __init__(self, session: aiohttp.ClientSession, kube: KubeApi) -> None:
        super().__init__("vision-node", session)
        self._kube = kube

    async def any_unfinished(self) -> bool:
        """Return whether the Kubernetes API server lists an unfinished ImageJob."""
        found = await self._kube.items(IMAGEJOBS, fieldSelector="status.phase!=done", limit="1")
        for job in found:
            if job["status"]["phase"] == "failed":
                raise BenchError(
                    f"{self.name}: {job['metadata']['name']}: {job['status']['error']}"
                )
        return bool(found)


class PatientVisionNode(VisionNode):
    """vision-node with clients that let POST /submit wait for the result, and never poll."""

    headers: ClassVar[Mapping[str, str]] = {"Prefer": f"wait={REQUEST_SECONDS / 2:.0f}"}
    accepted = 200

    async def is_done(self, job: str) -> bool:
        """Return True, because the response to the submission had the result."""
        return True


# Program of a Job. It reads an image as a worker does, describes it, and prints the description.
_DESCRIBE = """
import asyncio, json, sys
from vision_node_contract.models.description import Options
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_describer.describers import load
async def read():
    async with Bucket.open(BucketSettings.from_env()) as store:
        return await store.get(sys.argv[1], 1 << 30)
image = asyncio.run(read())
description = load(sys.argv[2]).describe(image, Options())
print(json.dumps(description.model_dump(mode="json", by_alias=True)))
"""


class JobPerImage:
    """One Kubernetes Job per image, with the workers' container image and environment.

    All Jobs read an image that is already in the bucket. This gives the system an advantage,
    because nothing is uploaded.
    """

    LABEL = "vision-node.dev/bench"

    def __init__(self, kube: KubeApi, worker_pod: Json, key: str) -> None:
        """Use the pod spec of a running worker, and the stored image with this key."""
        self.name = "Job per image"
        self._kube = kube
        self._pod = worker_pod
        self._key = key
        self._numbers = itertools.count()
        self._run = uuid.uuid4().hex[:6]

    async def submit(self, picture: Picture, describer: str) -> str:
        """Create a Job, and return its name."""
        name = f"bench-{self._run}-{next(self._numbers)}"
        await self._kube.create(JOBS, self._manifest(name, describer))
        return name

    async def is_done(self, job: str) -> bool:
        """Return whether the Job has succeeded."""
        status = (await self._kube.get(f"{JOBS}/{job}"))["status"]
        if status.get("failed"):
            raise BenchError(f"{self.name}: Job {job} failed")
        return bool(status.get("succeeded"))

    async def any_unfinished(self) -> bool:
        """Return whether any Job has not succeeded yet. Failed Jobs count as unfinished."""
        found = await self._kube.items(JOBS, labelSelector=self.LABEL)
        return any(not job["status"].get("succeeded") for job in found)

    async def clear(self) -> None:
        """Delete all Jobs."""
        await self._kube.delete_all(JOBS, labelSelector=self.LABEL)

    def _manifest(self, name: str, describer: str) -> Json:
        labels = {self.LABEL: "job-per-image"}

        first, *others = self._pod["containers"]
        container = {**first, "command": ["python", "-c", _DESCRIBE, self._key, describer]}
        pod = {**self._pod, "containers": [container, *others], "restartPolicy": "Never"}
        template = {"metadata": {"labels": labels}, "spec": pod}

        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {"backoffLimit": 0, "template": template},
        }


@asynccontextmanager
async def session(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client session for an HTTP API, without a limit on concurrent connections."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS)
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as found:
        yield found
