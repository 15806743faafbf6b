"""Routes that send the messages to callbacks again."""

from fastapi import APIRouter

from ..services.callbacks import Callbacks
from .callback_response import CallbackResponse, made_response
from .dependencies import PROBLEM, BatchesDep, BatchName, JobControlDep, JobsDep

router = APIRouter()


@router.post(
    "/jobs/{job_id}/callback/redeliver",
    tags=["jobs"],
    status_code=202,
    responses=dict.fromkeys((404, 409, 502, 503), PROBLEM),
)
async def redeliver_job(job_id: str, jobs: JobsDep, control: JobControlDep) -> CallbackResponse:
    """Send the message about the end of a job again, with the same `webhook-id`.

    A message that was delivered or given up is sent as if it was new, so attempts are counted from
    0. One that is pending is sent at once. The response is sent before the message.
    """
    callbacks = Callbacks(jobs.history, jobs.settings.callbacks)
    return made_response(await callbacks.redeliver(await control.find(job_id)))


@router.post(
    "/batches/{name}/callback/redeliver",
    tags=["batches"],
    status_code=202,
    responses=dict.fromkeys((400, 404, 409, 502, 503), PROBLEM),
)
async def redeliver_batch(name: BatchName, batches: BatchesDep) -> CallbackResponse:
    """Send the message about the end of a batch again, as for a job."""
    callbacks = Callbacks(batches.history, batches.settings.callbacks)
    return made_response(await callbacks.redeliver(await batches.current(name)))
