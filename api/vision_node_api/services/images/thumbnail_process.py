"""Run the process that makes thumbnails, and replace it if it hangs or crashes."""

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from . import thumbnail_child
from .thumbnail_child import HEADER, OK

log = logging.getLogger(__name__)

SECONDS = 15.0
"""Time limit for a thumbnail in seconds. Most take a few hundredths of a second, and the slowest
formats a few seconds on a busy machine. The start of the process takes half a second of it."""

IDLE_SECONDS = 30.0
"""How long the process waits for the next image before it ends, and frees some 40 MB."""

MAX_THUMBNAIL_BYTES = 4 << 20
"""Maximum size of an answer in bytes. A thumbnail has less than a tenth of that."""


class NoThumbnailError(Exception):
    """There is no thumbnail of an image. The error's text says why."""


class ThumbnailProcess:
    """Makes one thumbnail after the other. The caller waits for one before it asks for the next."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def make(self, image: bytes) -> bytes:
        """Return the thumbnail of an image as a WebP file.

        Raises:
            NoThumbnailError: The image can't be decoded, or not within the limits.
        """
        self._wait_no_longer()
        try:
            async with asyncio.timeout(SECONDS):
                return await self._exchange(image)
        except TimeoutError:
            raise NoThumbnailError(f"decoding it takes more than {SECONDS:g} s") from None
        except (OSError, EOFError) as error:
            log.warning("the process that makes thumbnails has ended: %s", error)
            raise NoThumbnailError("the decoder crashed") from error
        finally:
            self._end_later()

    async def _exchange(self, image: bytes) -> bytes:
        process = self._process or await self._start()
        if process.stdin is None or process.stdout is None:
            raise EOFError("the process has no pipes")

        # Until the answer is complete, the process is in an unknown state.
        self._process = None
        try:
            process.stdin.write(HEADER.pack(len(image)))
            process.stdin.write(image)
            await process.stdin.drain()
            outcome = await process.stdout.readexactly(1)
            (size,) = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
            _require_small(size)
            data = await process.stdout.readexactly(size)
        except BaseException:
            await _kill(process)
            raise

        self._process = process
        if outcome != OK:
            raise NoThumbnailError(data.decode(errors="replace"))
        return data

    async def _start(self) -> Process:
        # Without credentials in its environment, and without files of this process.
        command = (sys.executable, "-I", "-m", thumbnail_child.__name__)
        return await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}, limit=MAX_THUMBNAIL_BYTES
        )

    def _wait_no_longer(self) -> None:
        if self._idle:
            self._idle.cancel()
            self._idle = None

    def _end_later(self) -> None:
        if self._process:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end)

    def _end(self) -> None:
        """Close the input of an idle process, so that it ends."""
        process, self._process = self._process, None
        if process and process.stdin:
            process.stdin.close()

    async def close(self) -> None:
        """End the process."""
        self._wait_no_longer()
        process, self._process = self._process, None
        if process:
            await _kill(process)


def _require_small(size: int) -> None:
    """Raise an error if an answer is too large, because a decoder has been taken over."""
    if size > MAX_THUMBNAIL_BYTES:
        raise EOFError(f"the answer has {size} bytes")


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
