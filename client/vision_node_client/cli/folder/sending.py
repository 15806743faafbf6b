"""Send the images of a folder that the server does not have."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from pathlib import Path

from ...async_client import AsyncVisionNode
from ...errors import ProblemError, VisionNodeError
from ...folder import ImageFile, find_images
from ...protocol.flows import PARALLEL_UPLOADS
from ..terminal import safe_name
from .journal import Journal, JournalFile
from .reporter import Reporter

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that the server refuses in names. Some proxies refuse them in URLs, too."""


class Sending:
    """Sends images of a folder to a batch that is not started.

    Args:
        node: The server.
        journal: The state of the run, in which each sent or refused image is recorded.
        file: Where the journal is saved.
        reporter: Shows the progress.
    """

    def __init__(
        self, node: AsyncVisionNode, journal: Journal, file: JournalFile, reporter: Reporter
    ) -> None:
        self._node = node
        self._journal = journal
        self._file = file
        self._reporter = reporter
        self._arrived: dict[str, int] = {}

    async def run(self, batch: str, arrived: dict[str, int]) -> None:
        """Send all images that have not arrived, or have been changed since.

        Args:
            batch: The batch.
            arrived: Number of bytes of each image that the server has.

        Raises:
            VisionNodeError: The server refused all images, or did not respond.
            OSError: The folder can't be read.
        """
        self._arrived = arrived
        limits = await self._node.limits()
        max_bytes = int(limits["imageBytes"])
        images = await asyncio.to_thread(lambda: list(find_images(Path(self._journal.folder))))
        missing = [it for it in images if not self._has_arrived(it, arrived)]

        with self._reporter.progress("sending", len(images) - len(missing), len(images)) as bar:
            waiting = iter(missing)

            async def work() -> None:
                for image in waiting:
                    await self._send(batch, image, max_bytes)
                    bar.update()

            await _all_of(work)

    def _has_arrived(self, image: ImageFile, arrived: dict[str, int]) -> bool:
        name, changed = image.custom_id, self._journal.is_changed(image)
        if changed:
            shown = safe_name(name)
            self._reporter.warn(f"{shown} has been changed since it was sent; it is sent again")
        if name not in arrived:
            return self._journal.was_refused(image) and not changed
        if changed or arrived[name] != image.size:
            return False

        # The former run may have been killed before it could record it.
        self._journal.record_sent(image)
        return True

    async def _send(self, batch: str, image: ImageFile, max_bytes: int) -> None:
        refusal = _refusal(image, max_bytes)
        if refusal is not None:
            self._refuse(image, *refusal)
            return

        try:
            await self._node.upload_image(batch, image.custom_id, image.path)
        except ProblemError as problem:
            if not problem.concerns_image:
                raise
            self._refuse(image, problem.reason, problem.detail)
        except OSError as error:
            if isinstance(error, VisionNodeError):
                raise
            self._refuse(image, "FileUnreadable", f"The file can't be read: {error.strerror}.")
        else:
            self._journal.record_sent(image)

        if self._file.is_due:
            self._file.save(self._journal)

    def _refuse(self, image: ImageFile, reason: str, message: str) -> None:
        if image.custom_id in self._arrived:
            # An image can't be taken out of the batch. A line for the refusal would be its second.
            self._reporter.warn(
                f"{image.custom_id} is described as it was sent before, not as it is now: "
                f"{reason}: {message}"
            )
            return

        self._journal.record_refused(image, reason, message)
        name = safe_name(image.custom_id)
        self._reporter.warn(f"{name} is not described: {reason}: {message}")


def _refusal(image: ImageFile, max_bytes: int) -> tuple[str, str] | None:
    """Return reason and message if the server would refuse an image, whatever its content."""
    try:
        image.custom_id.encode()
    except UnicodeEncodeError:
        return "NameInvalid", "The name is not UTF-8. Rename the file."

    if not image.custom_id.isprintable() and _CONTROL.search(image.custom_id):
        return "NameInvalid", "the name has control characters; rename the file"

    if image.size > max_bytes:
        return (
            "ImageTooLarge",
            f"The image has more than {max_bytes} bytes, which is the limit. Send a smaller one.",
        )

    return None


async def _all_of(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run tasks that share work. The first error cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL_UPLOADS):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
