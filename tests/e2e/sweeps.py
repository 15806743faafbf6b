"""Sweep a release's folders in the bucket, as the operator does every half hour."""

from conftest import Kubectl

SWEEP = """
import asyncio, datetime, os
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube
from vision_node_contract.clients.ownership import NotOursError
from vision_node_operator.runtime.garbage_collector import GarbageCollector
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
            await GarbageCollector(bucket, imagejobs, kube, owner).sweep(now + 2 * day)
            await InboxExpiry(bucket, imagejobs, kube, owner, retention, {}).sweep(now + 2 * day)
        except NotOursError as error:
            print(error.reason)
        else:
            print("swept")
asyncio.run(main())
"""


def sweep(kubectl: Kubectl, operator: str) -> str:
    """Delete orphans and expired images, as if it were the day after tomorrow.

    The program runs in the pod of the Deployment `operator`, with its permissions.

    Returns:
        `swept`, or `StorageNotOurs`.
    """
    return kubectl("exec", f"deploy/{operator}", "--", "python", "-c", SWEEP).strip()
