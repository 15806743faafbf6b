"""ImageJobs as a watch shows them, so that status polls cost the API server nothing.

A job that isn't in it (created elsewhere just now, or the watch lags) is read through; so the cache
may be behind by the watch's delay, but never says that a job is missing.
"""

import json
import time

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import TERMINAL, ImageJob

CREATED_SECONDS = 2.0
"""What was created here counts for so long until the watch shows it: clients ask at once, and each
such question would cost the API server as much as a write."""

FINISHED_KEPT = 20_000
"""About 50 MB. Older ones are read through: in a week there may be hundreds of thousands."""


class JobCache:
    """Reads ImageJobs by name."""

    def __init__(self, imagejobs: ImageJobClient) -> None:
        self._imagejobs = imagejobs
        self._unfinished: dict[str, Json] = {}
        """As the watch showed them: each changes twice and may never be asked for."""
        self._finished: dict[str, bytes] = {}
        """As JSON text: a tenth of the memory, and read seldom."""
        self._created: dict[str, tuple[float, ImageJob]] = {}
        """Not yet shown by the watch; oldest first, with the (monotonic) time until which it
        counts."""
        self._naming: dict[str, set[str]] = {}
        """Names of unfinished ImageJobs, by the key under inbox/ of their image."""

    @property
    def unfinished(self) -> int:
        """How many ImageJobs are queued or in processing."""
        return len(self._unfinished)

    def naming(self, key: str) -> list[str]:
        """Return the names of unfinished ImageJobs whose image is the object `key` under inbox/."""
        return sorted(self._naming.get(key, ()))

    async def get(self, name: str) -> ImageJob:
        """Return an ImageJob.

        Raises:
            NotFoundError: the API server doesn't have it, either.
            UnavailableError: it isn't cached and the API server doesn't answer.
            ValueError: it is not as an ImageJob of this version.
        """
        return self.peek(name) or await self._imagejobs.get(name)

    def peek(self, name: str) -> ImageJob | None:
        """Return an ImageJob if it is known.

        Raises:
            ValueError: it is not as an ImageJob of this version.
        """
        if found := self._unfinished.get(name):
            return ImageJob.model_validate(found)
        if text := self._finished.get(name):
            return ImageJob.model_validate_json(text)
        until, created = self._created.get(name, (0.0, None))
        return created if time.monotonic() < until else None

    def created(self, job: ImageJob) -> None:
        """Take in an ImageJob that was created here."""
        now = time.monotonic()
        while self._created and next(iter(self._created.values()))[0] < now:
            del self._created[next(iter(self._created))]
        self._created[job.metadata.name] = (now + CREATED_SECONDS, job)

    def observe(self, event: WatchEvent) -> None:
        """Take in what the watch shows."""
        if event.type == "SYNCED":
            for name in {*self._unfinished, *self._finished} - event.names:
                self._drop(name)
        for body in event.objects:
            self._drop(body["metadata"]["name"])
            if event.type != "DELETED":
                self._keep(body)

    def _drop(self, name: str) -> None:
        self._created.pop(name, None)
        self._finished.pop(name, None)
        if body := self._unfinished.pop(name, None):
            self._drop_name(_inbox_key(body), name)

    def _drop_name(self, key: str, name: str) -> None:
        names = self._naming.get(key, set())
        names.discard(name)
        if not names:
            self._naming.pop(key, None)

    def _keep(self, body: Json) -> None:
        name = body["metadata"]["name"]
        if (body.get("status") or {}).get("phase") in TERMINAL:
            body["metadata"].pop("managedFields", None)
            self._finished[name] = json.dumps(body, separators=(",", ":")).encode()
            if len(self._finished) > FINISHED_KEPT:
                del self._finished[next(iter(self._finished))]
        else:
            self._unfinished[name] = body
            if key := _inbox_key(body):
                self._naming.setdefault(key, set()).add(name)


def _inbox_key(body: Json) -> str:
    """Return the key of an ImageJob's image if it is under inbox/; empty if not."""
    match body:
        case {"spec": {"image": {"key": str(key)}}} if key.startswith(INBOX_PREFIX):
            return key
        case _:
            return ""
