"""Create the archiver's components, and run them."""

import asyncio
import signal

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.kube import Kube
from vision_node_contract.listening import listen

from ..runtime import probe_server
from ..runtime.freshness import Heartbeat
from ..runtime.storage_ownership import StorageOwnership
from .batch_watch import BatchWatch
from .batches import BatchClient
from .folder_cleaner import FolderCleaner
from .freeze_queue import FreezeQueue
from .freezer import Freezer
from .settings import Settings
from .sweep import Sweep


async def run(settings: Settings) -> None:
    """Run until SIGTERM, or until an error occurs that only a restart can fix."""
    working = asyncio.create_task(_work(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)

    await asyncio.wait({working})
    if not working.cancelled():
        working.result()


async def _work(settings: Settings) -> None:
    heartbeat = Heartbeat()
    async with (
        Kube.connect("archiver") as kube,
        Bucket.open(BucketSettings.from_env()) as bucket,
        probe_server.serving(listen(probe_server.PORT), heartbeat.check),
    ):
        await archive(kube, bucket, settings, heartbeat)


async def archive(kube: Kube, bucket: Bucket, settings: Settings, heartbeat: Heartbeat) -> None:
    """Do the archiver's work until cancelled."""
    batches = BatchClient(kube, settings.namespace)
    ownership = StorageOwnership(bucket, kube, settings)
    cleaner = FolderCleaner(bucket, ownership)
    freezer = Freezer(bucket, batches, cleaner, settings.max_images)
    watch = BatchWatch(kube, batches, cleaner, bucket.folders)

    async def relist() -> None:
        await watch.relist(queue)

    def delete(uid: str) -> None:
        cleaner.clean(BatchFolder(bucket.folders, uid).prefix)

    queue = FreezeQueue(freezer, delete, relist, heartbeat)
    sweep = Sweep(bucket, batches, ownership, cleaner)

    async with asyncio.TaskGroup() as tasks:
        for work in (watch.run(queue), queue.run(), cleaner.run(), sweep.run()):
            tasks.create_task(work)
