"""Cache of the ImageJobs, so that status polls need no requests to the API server.

A job that is not cached is read from the API server, because another replica may have just created
it, or the watch may lag. A cached job may be out of date, but no existing job is reported as
missing.
"""

import json
import time

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import TERMINAL, ImageJob

CREATED_SECONDS = 2.0
"""How long to cache a job that this replica created but the watch has not reported yet. Clients
poll immediately after a submission, and each of these polls would otherwise cost the API server as
much as a write."""

FINISHED_KEPT = 20_000
"""Maximum number of finished jobs in the cache, which then takes about 50 MB. The limit is needed
because hundreds of thousands of jobs may finish in a week. Older jobs are read from the API
server."""


class ImageJobCache:
    """Caches ImageJobs. Those that are not cached are read from the API server."""

    def __init__(self, imagejobs: ImageJobClient) -> None:
        self._imagejobs = imagejobs
        self._names: set[str] = set()
        """Names of all ImageJobs that the watch has reported, whether they are cached or not."""
        self._unfinished: dict[str, Json] = {}
        """Unfinished ImageJobs by name. They are not parsed, because each ImageJob changes twice
        and may never be requested."""
        self._finished: dict[str, bytes] = {}
        """Finished ImageJobs by name. They are stored as JSON text, which takes a tenth of the
        memory, because they are seldom read."""
        self._created: dict[str, tuple[float, ImageJob]] = {}
        """ImageJobs by name that the watch has not reported yet, from oldest to newest, each with
        the monotonic time until which it may be served."""
        self._users: dict[str, set[str]] = {}
        """Names of unfinished ImageJobs that use an object under inbox/, by the object's key."""

    @property
    def unfinished(self) -> int:
        """Number of ImageJobs that are queued or processing."""
        return len(self._unfinished)

    @property
    def total(self) -> int:
        """Number of ImageJobs, finished ones included."""
        return len(self._names)

    def users_of(self, key: str) -> list[str]:
        """Return the names of unfinished ImageJobs whose image is the object `key` under inbox/."""
        return sorted(self._users.get(key, ()))

    async def get(self, name: str) -> ImageJob:
        """Return an ImageJob from the cache or, if it is not cached, from the API server.

        Raises:
            NotFoundError: the ImageJob does not exist.
            UnavailableError: the ImageJob is not cached, and the API server is unavailable.
            ValueError: the object is not an ImageJob of this version.
        """
        return self.peek(name) or await self._imagejobs.get(name)

    def peek(self, name: str) -> ImageJob | None:
        """Return an ImageJob if it is cached; otherwise, return None.

        Raises:
            ValueError: the object is not an ImageJob of this version.
        """
        if body := self._unfinished.get(name):
            return ImageJob.model_validate(body)

        if text := self._finished.get(name):
            return ImageJob.model_validate_json(text)

        until, created = self._created.get(name, (0.0, None))
        return created if time.monotonic() < until else None

    def add_created(self, job: ImageJob) -> None:
        """Cache an ImageJob that this replica has created."""
        now = time.monotonic()
        while self._created and next(iter(self._created.values()))[0] < now:
            del self._created[next(iter(self._created))]

        self._created[job.metadata.name] = (now + CREATED_SECONDS, job)

    def observe(self, event: WatchEvent) -> None:
        """Update the cache with a watch event."""
        if event.type == "SYNCED":
            for name in self._names - event.names:
                self._remove(name)

        for body in event.objects:
            self._remove(body["metadata"]["name"])
            if event.type != "DELETED":
                self._add(body)

    def _remove(self, name: str) -> None:
        self._names.discard(name)
        self._created.pop(name, None)
        self._finished.pop(name, None)
        if body := self._unfinished.pop(name, None):
            self._remove_user(_inbox_key(body), name)

    def _remove_user(self, key: str, name: str) -> None:
        names = self._users.get(key, set())
        names.discard(name)
        if not names:
            self._users.pop(key, None)

    def _add(self, body: Json) -> None:
        self._names.add(body["metadata"]["name"])
        if (body.get("status") or {}).get("phase") in TERMINAL:
            self._add_finished(body)
            return

        name = body["metadata"]["name"]
        self._unfinished[name] = body
        if key := _inbox_key(body):
            self._users.setdefault(key, set()).add(name)

    def _add_finished(self, body: Json) -> None:
        body["metadata"].pop("managedFields", None)
        self._finished[body["metadata"]["name"]] = json.dumps(body, separators=(",", ":")).encode()
        if len(self._finished) > FINISHED_KEPT:
            del self._finished[next(iter(self._finished))]


def _inbox_key(body: Json) -> str:
    """Return the key of an ImageJob's image if the key is under inbox/; otherwise, return ""."""
    match body:
        case {"spec": {"image": {"key": str(key)}}} if key.startswith(INBOX_PREFIX):
            return key
        case _:
            return ""
