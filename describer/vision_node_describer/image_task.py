"""What to describe in one attempt, for a single ImageJob or for an image of a shard."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from vision_node_contract.batch_objects import ManifestLine, ZipMember
from vision_node_contract.models.description import Options
from vision_node_contract.models.imagejob import ImageJob

from .settings import Settings


@dataclass(frozen=True, slots=True)
class ImagePart:
    """The part of an object that is the image, or a member of a zip file with the image."""

    offset: int
    """Where it begins in the object, in bytes."""
    length: int
    """Number of its bytes in the object."""
    size: int
    """Number of bytes of the image."""
    zip: ZipMember | None = None

    @classmethod
    def of(cls, line: ManifestLine) -> Self | None:
        """Return the part that a line names; None if the image is a whole object.

        Raises:
            ValueError: The line names an impossible part.
        """
        if line.offset is None:
            return None
        if line.length is None or line.size is None:
            raise ValueError("a part of an object needs a length and a size")
        if line.offset < 0 or line.length <= 0 or line.size <= 0:
            raise ValueError("a part of an object has a positive length and size")

        return cls(line.offset, line.length, line.size, line.zip)


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One attempt at one image."""

    name: str
    """The image's name in the log."""
    uid: str
    """The image's id in the termination message. It is unique."""
    number: int
    """Number of the attempt. It is unique for the image in this worker."""
    key: str
    etag: str | None
    """ETag that the image must have; None if any will do."""
    size_bytes: int | None
    """The file's stated size, which is untrusted; None if it is unknown."""
    options: Options
    attempt: int
    """Number of attempts that count toward `max_attempts`, including this one."""
    max_attempts: int
    timeout_seconds: float
    part: ImagePart | None = None
    """The part of the object that is the image; None if it is the whole object."""
    wait_for_slot: Callable[[], Awaitable[None]] | None = None
    """Waits until the fetched image may be described; None if it need not wait. If it must,
    the time for fetching and waiting does not count toward the timeout."""

    @classmethod
    def of(cls, job: ImageJob, settings: Settings) -> Self:
        """Return the current attempt at an ImageJob with a single image."""
        spec, status = job.spec, job.status

        return cls(
            name=f"ImageJob {job.metadata.name}",
            uid=job.metadata.uid,
            number=status.attempts,
            key=spec.image.key,
            etag=None,
            size_bytes=spec.image.size_bytes,
            options=spec.options or Options(),
            attempt=status.attempts - status.losses,
            max_attempts=spec.max_attempts or settings.max_attempts,
            timeout_seconds=spec.timeout_seconds or settings.timeout_seconds,
        )

    @property
    def is_background(self) -> bool:
        """Whether single images go first."""
        return self.wait_for_slot is not None
