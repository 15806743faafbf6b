"""Sweep a release's folders in the bucket, as the archiver and the operator do every half hour."""

from conftest import Kubectl

SWEEP_JOBS = """
import asyncio, datetime
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube
from vision_node_contract.clients.ownership import NotOursError
from vision_node_operator.archiver.history.link import Surroundings
from vision_node_operator.archiver.sweep_guard import HeldError
from vision_node_operator.archiver.image_jobs import image_jobs
from vision_node_operator.archiver.settings import Settings
from vision_node_operator.runtime.garbage_collector import GarbageCollector
from vision_node_operator.runtime.storage_ownership import StorageOwnership
async def hold_of(jobs):
    # What is in etcd must be known before anything may be swept.
    watch = asyncio.create_task(jobs.watch.run(jobs))
    try:
        for _ in range(300):
            if await jobs.link.check():
                return None
            if jobs.link.holds:
                return jobs.link.holds[0].reason
            await asyncio.sleep(0.1)
    finally:
        watch.cancel()
    return "NotReady"
async def main():
    settings = Settings.from_env()
    # Pretend that it is the day after tomorrow.
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    async with Kube.connect("test") as kube, Bucket.open(BucketSettings.from_env()) as bucket:
        owner = StorageOwnership(bucket, kube, settings)
        async with image_jobs(Surroundings(kube, bucket, owner, settings), settings) as found:
            jobs = found.jobs
            for work in found.work:
                work.close()
            if jobs and (held := await hold_of(jobs)):
                print(held)
                return
            imagejobs = ImageJobClient(kube, settings.namespace)
            garbage = jobs.garbage if jobs else GarbageCollector(bucket, imagejobs, kube, owner)
            try:
                await garbage.sweep(now)
            except NotOursError as error:
                print(error.reason)
            except HeldError:
                print(jobs.link.holds[0].reason)
            else:
                print("swept")
asyncio.run(main())
"""
"""Program that deletes orphans of single ImageJobs. It runs in the archiver's pod."""

EXPIRE_INBOX = """
import asyncio, datetime, os
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube
from vision_node_contract.clients.ownership import NotOursError
from vision_node_operator.runtime.inbox_expiry import InboxExpiry, Retention
from vision_node_operator.runtime.storage_ownership import StorageOwnership
from vision_node_operator.settings import Settings
async def main():
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    async with Kube.connect("test") as kube, Bucket.open(BucketSettings.from_env()) as bucket:
        imagejobs = ImageJobClient(kube, os.environ["POD_NAMESPACE"])
        owner = StorageOwnership(bucket, kube, Settings.from_env())
        retention = Retention(day, now)
        try:
            # Pretend that it is the day after tomorrow.
            await InboxExpiry(bucket, imagejobs, kube, owner, retention, {}).sweep(now + 2 * day)
        except NotOursError as error:
            print(error.reason)
        else:
            print("swept")
asyncio.run(main())
"""
"""Program that deletes expired images of the inbox. It runs in the operator's pod."""


def sweep(kubectl: Kubectl, prefix: str) -> str:
    """Delete orphans and expired images, as if it were the day after tomorrow.

    The programs run in the pods of the release whose Deployments' names begin with `prefix`, with
    the permissions of these pods.

    Returns:
        `swept`, or the reason why nothing may be swept, such as `StorageNotOurs`.
    """
    swept = run(kubectl, f"{prefix}-archiver", SWEEP_JOBS)
    return swept if swept != "swept" else run(kubectl, f"{prefix}-operator", EXPIRE_INBOX)


def run(kubectl: Kubectl, deployment: str, program: str) -> str:
    """Run a program in a Deployment's pod, and return what it prints."""
    return kubectl("exec", f"deploy/{deployment}", "--", "python", "-c", program).strip()
