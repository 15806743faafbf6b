"""The ImageJobs that this replica has created, until the watch reports them."""

import time

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import OWNER_LABEL

CREATED_SECONDS = 2.0
"""How long to cache a job that this replica created but the watch has not reported yet. Clients
poll immediately after a submission, and each of these polls would otherwise cost the API server as
much as a write."""


class JustCreated:
    """ImageJobs by name and by owner, each for CREATED_SECONDS."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[float, ImageJob]] = {}
        """From the oldest to the newest, each with the monotonic time until which it is kept."""
        self._names: dict[str, set[str]] = {}
        """Their names by owner, so that submissions need not look at those of other owners."""

    def get(self, name: str) -> ImageJob | None:
        """Return an ImageJob; None if it was not created just now."""
        until, job = self._jobs.get(name, (0.0, None))
        return job if time.monotonic() < until else None

    def all(self) -> list[ImageJob]:
        """Return all ImageJobs, from the oldest to the newest."""
        now = time.monotonic()
        return [job for until, job in self._jobs.values() if now < until]

    def of(self, owner: str | None) -> list[ImageJob]:
        """Return the ImageJobs of an owner; None for all."""
        if owner is None:
            return self.all()

        found = (self.get(name) for name in self._names.get(owner, ()))
        return [job for job in found if job]

    def add(self, job: ImageJob) -> None:
        """Add an ImageJob, and forget the old ones."""
        now = time.monotonic()
        while self._jobs and next(iter(self._jobs.values()))[0] < now:
            self.remove(next(iter(self._jobs)))

        name = job.metadata.name
        self.remove(name)
        self._jobs[name] = (now + CREATED_SECONDS, job)
        self._names.setdefault(_owner_of(job), set()).add(name)

    def remove(self, name: str) -> None:
        """Forget an ImageJob, if it is there."""
        _, job = self._jobs.pop(name, (0.0, None))
        if job is None:
            return

        owner = _owner_of(job)
        names = self._names[owner]
        names.discard(name)
        if not names:
            del self._names[owner]


def _owner_of(job: ImageJob) -> str:
    return job.metadata.labels.get(OWNER_LABEL, "")
