"""Make thumbnails when they are asked for, and keep the last ones in memory."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from ...web.fair_turns import FairTurns
from ...web.owner_share import OwnerShare
from ...web.problems import Problem
from .thumbnail_process import NoThumbnailError, ThumbnailProcess

log = logging.getLogger(__name__)

CACHE_BYTES = 32 << 20
"""Memory for thumbnails in bytes: about a thousand, which is a long look through a gallery. They
are not stored, so they end together with their images, and cost nothing before anyone looks."""

ENTRY_BYTES = 300
"""Memory of an entry in addition to its data, in bytes."""

MAX_WAITING = 128
"""Maximum number of thumbnails that wait for being made. A page of a gallery asks for some 50, and
one owner may wait for half of them. What waits takes no memory: its image is not read yet."""

RETRY_AFTER_SECONDS = "2"
"""Retry-After, in seconds, if too many thumbnails are waiting."""

MEDIA_TYPE = "image/webp"


class Thumbnails:
    """The thumbnails of images, by what identifies an image."""

    def __init__(self, process: ThumbnailProcess | None = None) -> None:
        self._process = process or ThumbnailProcess()
        self._cached: OrderedDict[str, bytes | str] = OrderedDict()
        """Thumbnails, or why there is none, from the least to the most recently used."""
        self._bytes = 0
        self._making: dict[str, asyncio.Task[bytes | str]] = {}
        self._turns = FairTurns(1)
        """Held while an image is in memory. One at a time keeps a core free for the API."""
        self.share = OwnerShare(
            MAX_WAITING,
            "wait for {limit} thumbnails",
            "Ask for fewer at the same time.",
            RETRY_AFTER_SECONDS,
        )
        """How many thumbnails of one owner may wait for being made."""

    async def get(self, identity: str, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the thumbnail of an image as a WebP file.

        Args:
            identity: What identifies the image, for example the key of its object.
            read: Returns the image. It is called only if the thumbnail has to be made.

        Raises:
            Problem: 422 NoThumbnail; 429 OwnerShareUsed; 503 TooManyThumbnails; what `read` raises.
        """
        found = self._cached.get(identity)
        if found is None:
            found = await self._made(identity, read)
        else:
            self._cached.move_to_end(identity)

        if isinstance(found, str):
            detail = f"There is no thumbnail of this image: {found}. Get the image itself."
            raise Problem(422, "NoThumbnail", detail)
        return found

    async def _made(self, identity: str, read: Callable[[], Awaitable[bytes]]) -> bytes | str:
        """Make a thumbnail. All who ask for it meanwhile get the same one."""
        task = self._making.get(identity)
        if task is None:
            if len(self._making) >= MAX_WAITING:
                detail = "Too many thumbnails are being made. Try again later."
                headers = {"Retry-After": RETRY_AFTER_SECONDS}
                raise Problem(503, "TooManyThumbnails", detail, headers=headers)

            held = ExitStack()
            held.enter_context(self.share.holding())
            task = asyncio.create_task(self._make(identity, read))
            self._making[identity] = task
            task.add_done_callback(lambda it: self._forget(identity, it, held))

        # A client that leaves does not stop the work for others.
        return await asyncio.shield(task)

    async def _make(self, identity: str, read: Callable[[], Awaitable[bytes]]) -> bytes | str:
        made: bytes | str
        async with self._turns:
            try:
                made = await self._process.make(await read())
            except NoThumbnailError as error:
                made = str(error)

        self._keep(identity, made)
        return made

    def _forget(self, identity: str, task: "asyncio.Task[bytes | str]", held: ExitStack) -> None:
        held.close()
        self._making.pop(identity, None)
        # If all clients have left, nobody else asks for the error.
        if not task.cancelled() and (error := task.exception()):
            log.debug("no thumbnail of %s: %s", identity, error)

    def _keep(self, identity: str, made: bytes | str) -> None:
        self._cached[identity] = made
        self._bytes += ENTRY_BYTES + len(made)
        while self._bytes > CACHE_BYTES:
            _, oldest = self._cached.popitem(last=False)
            self._bytes -= ENTRY_BYTES + len(oldest)

    async def close(self) -> None:
        """Stop making thumbnails."""
        for task in [*self._making.values()]:
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        await self._process.close()
