"""Bodies of requests with many photographs, which are generated while they are sent."""

import itertools
import tarfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from bench.measure.pictures_1080p import Picture
from bench.plan import UPLOADED_FORM, UPLOADED_TAR

BOUNDARY = "vision-node-bench"

TAR_END = bytes(2 * tarfile.BLOCKSIZE)
"""Two empty blocks mark the end of a tar stream."""


@dataclass(frozen=True, slots=True)
class UploadBody(ABC):
    """A body with the pictures, repeated until there are `images` files with names of their own."""

    pictures: Sequence[Picture]
    images: int

    @property
    @abstractmethod
    def content_type(self) -> str:
        """Content type of the request."""

    @abstractmethod
    def parts(self) -> Iterator[bytes]:
        """Yield the parts of the body in turn. Pictures are not copied."""

    @property
    def size_bytes(self) -> int:
        """Size of the body in bytes."""
        return sum(len(part) for part in self.parts())

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as aiohttp sends it."""
        for part in self.parts():
            yield part

    def _files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the content of each file."""
        pictures = itertools.cycle(self.pictures)
        for number, picture in zip(range(self.images), pictures, strict=False):
            yield f"photographs/{number:05}.jpg", picture.data


class FormBody(UploadBody):
    """A multipart form with one field for each file."""

    __slots__ = ()

    @property
    def content_type(self) -> str:
        """Content type of the request."""
        return f"multipart/form-data; boundary={BOUNDARY}"

    def parts(self) -> Iterator[bytes]:
        """Yield the header, the content and the end of each field."""
        for name, data in self._files():
            disposition = f'form-data; name="files"; filename="{name}"'
            yield (
                f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n"
                "Content-Type: image/jpeg\r\n\r\n"
            ).encode()
            yield data
            yield b"\r\n"

        yield f"--{BOUNDARY}--\r\n".encode()


class TarBody(UploadBody):
    """A tar stream."""

    __slots__ = ()

    @property
    def content_type(self) -> str:
        """Content type of the request."""
        return "application/x-tar"

    def parts(self) -> Iterator[bytes]:
        """Yield the header, the content and the padding of each file."""
        for name, data in self._files():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            yield member.tobuf(tarfile.USTAR_FORMAT)
            yield data
            yield bytes(-len(data) % tarfile.BLOCKSIZE)

        yield TAR_END


BODIES: dict[str, type[UploadBody]] = {UPLOADED_FORM: FormBody, UPLOADED_TAR: TarBody}
"""The kind of body by load."""


def images_within(size_bytes: int, pictures: Sequence[Picture]) -> int:
    """Return how many pictures, in turn, have at least this size in total."""
    totals = itertools.accumulate(len(picture.data) for picture in itertools.cycle(pictures))
    return next(number for number, total in enumerate(totals, 1) if total >= size_bytes)
