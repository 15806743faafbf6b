"""What routes have in common: the services that they use, and how they describe problems."""

from typing import Annotated, Any

from fastapi import Depends, Request

from ..services.acting.control import JobControl
from ..services.acting.retry import JobRetry
from ..services.acting.retry_failed import FailedRetry
from ..services.batches.batch_images import BatchImages
from ..services.batches.batches import Batches
from ..services.batches.control import BatchControl
from ..services.batches.creation import BatchCreation
from ..services.batches.retry import BatchRetry
from ..services.following.following import Following
from ..services.history.batch_list import BatchList
from ..services.history.job_export import JobExport
from ..services.history.job_list import JobList
from ..services.images.images import Images
from ..services.inbox import Inbox
from ..services.jobs import Jobs
from ..web.problems import MEDIA_TYPE

PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {}}}
"""OpenAPI description of a response that is a problem document."""


def _service(name: str) -> Any:
    """Return the dependency on a service of the application, as `attach_services` names it.

    The function is async, because FastAPI would otherwise call it in a thread.
    """

    async def get(request: Request) -> object:
        found: object = getattr(request.app.state, name)
        return found

    return Depends(get)


JobsDep = Annotated[Jobs, _service("jobs")]
JobListDep = Annotated[JobList, _service("job_list")]
JobExportDep = Annotated[JobExport, _service("job_export")]
JobControlDep = Annotated[JobControl, _service("job_control")]
JobRetryDep = Annotated[JobRetry, _service("job_retry")]
FailedRetryDep = Annotated[FailedRetry, _service("failed_retry")]
ImagesDep = Annotated[Images, _service("images")]
BatchesDep = Annotated[Batches, _service("batches")]
BatchImagesDep = Annotated[BatchImages, _service("batch_images")]
BatchListDep = Annotated[BatchList, _service("batch_list")]
BatchControlDep = Annotated[BatchControl, _service("batch_control")]
BatchRetryDep = Annotated[BatchRetry, _service("batch_retry")]
CreationDep = Annotated[BatchCreation, _service("batch_creation")]
FollowingDep = Annotated[Following, _service("following")]
InboxDep = Annotated[Inbox, _service("inbox")]


async def get_batch_name(name: str, batches: BatchesDep) -> str:
    """Return the name of the ImageBatch that the path means."""
    return await batches.name_of(name)


BatchName = Annotated[str, Depends(get_batch_name)]
