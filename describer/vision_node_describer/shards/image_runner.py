"""One of the tasks that describe the images of a shard at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from vision_node_contract.batch_objects import ManifestLine


@dataclass(eq=False, slots=True)
class ImageRunner:
    """Describes one image at a time: it is fetched, waits for its turn, and is described."""

    acquire: Callable[[], Awaitable[None]]
    """Waits for a slot."""
    on_begin: Callable[[], None]
    """Called when a describer or its fallback begins with an image."""
    release: Callable[[], None]
    """Frees the slot."""
    line: ManifestLine | None = None
    """The image; None before the first one."""
    busy_since: float | None = None
    """When describing the image began, by the event loop's clock. None while the image is being
    fetched or waits for a slot, so that it can be dropped at no loss."""
    is_abandoned: bool = False
    """Whether the shard has stopped waiting for the image. Its thread may still be running."""
    task: asyncio.Task[None] = field(init=False)
    _is_cancelled: bool = False

    async def wait_for_slot(self) -> None:
        """Wait until the image may be described.

        It keeps its slot for a fallback, which has as much time as the describer had.
        """
        if self.busy_since is None:
            await self.acquire()

        self.busy_since = asyncio.get_running_loop().time()
        self.on_begin()

    @property
    def is_awaited(self) -> bool:
        """Whether the shard must wait for the runner."""
        return not self.is_abandoned and not self.task.done()

    def drop_if_idle(self) -> None:
        """Cancel the task, unless its image is being described."""
        if self.busy_since is None:
            self.cancel()

    def abandon(self) -> None:
        """Stop waiting for the image."""
        self.is_abandoned = True
        self.cancel()

    def cancel(self) -> None:
        """Cancel the task once.

        It then waits for its thread. A second cancellation would end it too early, and free memory
        that the thread still uses.
        """
        if not self._is_cancelled:
            self._is_cancelled = True
            self.task.cancel()

    def leave_slot(self) -> None:
        """Free the slot, if there is one, because the image is no longer being described."""
        if self.busy_since is not None:
            self.busy_since = None
            self.release()
