"""Keep what the archiver has to know about the ImageJobs in etcd."""

import asyncio
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import ImageJob


@dataclass(frozen=True, slots=True)
class LiveJob:
    """An ImageJob in etcd. There may be thirty thousand, so each takes less than a kilobyte."""

    uid: str
    name: str
    version: int
    image_key: str | None
    """The key of the image, whoever owns the object."""
    own_keys: tuple[str, ...] = ()
    """The keys of the objects that are deleted together with the ImageJob."""
    has_stored_result: bool = False
    """Whether the last of `own_keys` is its result."""
    finished_at: datetime | None = None
    """When it ended; None if it has not, or if this release can't read it."""
    expires_at: datetime | None = None
    """When its own time to live ends; None if it has none of its own."""
    is_deleting: bool = False
    """Whether it is being deleted, and only waits for a finalizer."""

    @property
    def result_key(self) -> str | None:
        """The key of its stored result."""
        return self.own_keys[-1] if self.has_stored_result else None

    @classmethod
    def of(cls, job: ImageJob, folders: BucketFolders, now: datetime) -> Self:
        """Return what to remember of an ImageJob."""
        meta = job.metadata
        finished_at = job.completed(now) if job.finished else None
        stay = job.spec.ttl(None)
        return cls(
            uid=meta.uid,
            name=meta.name,
            version=int(meta.resource_version),
            image_key=job.spec.image.key,
            own_keys=tuple(folders.own_keys(job)),
            has_stored_result=folders.own_result_key(job) is not None,
            finished_at=finished_at,
            expires_at=finished_at + stay if finished_at and stay is not None else None,
            is_deleting=meta.deletion_timestamp is not None,
        )

    @classmethod
    def unfinished(cls, body: Json, folders: BucketFolders) -> Self:
        """Return what to remember of an ImageJob without a result, which needs no validation."""
        meta, key = body["metadata"], _image_key(body)
        return cls(
            uid=meta["uid"],
            name=meta["name"],
            version=int(meta["resourceVersion"]),
            image_key=key,
            own_keys=(key,) if key and folders.is_own_image(key) else (),
            is_deleting="deletionTimestamp" in meta,
        )

    @classmethod
    def unreadable(cls, body: Json) -> Self:
        """Return what to remember of an ImageJob that this release can't read: its names."""
        meta = body["metadata"]
        return cls(meta["uid"], meta["name"], int(meta["resourceVersion"]), _image_key(body))


@dataclass(frozen=True, slots=True)
class Content:
    """A finished ImageJob as it was read from etcd."""

    job: ImageJob
    body: Json
    """The same as JSON."""
    size: int = 0
    """Number of bytes of the JSON text."""


def _image_key(body: Json) -> str | None:
    spec = body.get("spec")
    image = spec.get("image") if isinstance(spec, dict) else None
    key = image.get("key") if isinstance(image, dict) else None
    return key if isinstance(key, str) else None


class LiveJobs:
    """All ImageJobs in etcd except shards, by uid. It is complete after the first full list."""

    def __init__(self) -> None:
        self._jobs: dict[str, LiveJob] = {}
        self._uids: dict[str, str] = {}
        """The uid of each ImageJob, by name."""
        self._sharers: dict[str, set[str]] = {}
        """The uids of the ImageJobs that name an image which another one names, too."""
        self._first: dict[str, str] = {}
        """The uid of the first ImageJob that names an image, by key."""
        self.archived: set[str] = set()
        """The uids of those that are archived."""
        self.synced = asyncio.Event()
        """Set once all ImageJobs are known."""
        self.newest_version = 0
        """The newest resourceVersion of all ImageJobs that were ever seen."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[LiveJob]:
        return iter(self._jobs.values())

    def get(self, uid: str) -> LiveJob | None:
        """Return the ImageJob with this uid; None if there is none."""
        return self._jobs.get(uid)

    def uids(self) -> set[str]:
        """Return the uids of all ImageJobs."""
        return set(self._jobs)

    def put(self, job: LiveJob) -> LiveJob | None:
        """Add or replace an ImageJob; return the one that had its name before and is gone."""
        before = self._uids.get(job.name)
        gone = self.drop(before) if before is not None and before != job.uid else None

        self._unname(self._jobs.get(job.uid))
        self._jobs[job.uid] = job
        self._uids[job.name] = job.uid
        self.newest_version = max(self.newest_version, job.version)
        if job.image_key:
            self._name(job.image_key, job.uid)

        return gone

    def drop(self, uid: str) -> LiveJob | None:
        """Remove an ImageJob, and return it."""
        job = self._jobs.pop(uid, None)
        self.archived.discard(uid)
        if job is not None:
            self._unname(job)
            if self._uids.get(job.name) == uid:
                del self._uids[job.name]

        return job

    def keep_only(self, names: Set[str]) -> list[LiveJob]:
        """Remove all ImageJobs whose names are not in a complete list, and return them."""
        gone = [uid for name, uid in self._uids.items() if name not in names]
        return [job for uid in gone if (job := self.drop(uid))]

    def is_image_named(self, key: str) -> bool:
        """Return whether an ImageJob names the image with this object key."""
        return key in self._first

    def naming(self, key: str) -> list[LiveJob]:
        """Return the ImageJobs that name the image with this object key."""
        first = {self._first[key]} if key in self._first else set()
        return [self._jobs[uid] for uid in first | self._sharers.get(key, set())]

    def _name(self, key: str, uid: str) -> None:
        first = self._first.setdefault(key, uid)
        if first != uid:
            self._sharers.setdefault(key, set()).add(uid)

    def _unname(self, job: LiveJob | None) -> None:
        if job is None or not job.image_key:
            return

        key, sharers = job.image_key, self._sharers.get(job.image_key, set())
        if self._first.get(key) != job.uid:
            sharers.discard(job.uid)
        elif sharers:
            self._first[key] = sharers.pop()
        else:
            del self._first[key]

        if not sharers:
            self._sharers.pop(key, None)
