"""HTTP API of the Celery system. Run it with `uvicorn bench.celery_system.api:app`."""

import uuid
from typing import Annotated

from fastapi import FastAPI, File, Form, HTTPException, Response

from bench.celery_system.jobs import UNFINISHED, Jobs
from bench.celery_system.settings import Settings
from bench.celery_system.task_names import TASK
from bench.celery_system.tasks import app as celery

app = FastAPI()
_jobs = Jobs(Settings.from_env().data)


@app.post("/submit", status_code=202)
def submit(
    file: Annotated[bytes, File()], describer: Annotated[str, Form()] = "metadata"
) -> dict[str, str]:
    """Store the image, queue a task, and return the job's id."""
    job = uuid.uuid4().hex
    _jobs.add(job, describer, file)
    celery.send_task(TASK, (job,))
    return {"job_id": job, "status": "queued"}


@app.get("/status/{job}")
async def status(job: str) -> dict[str, object]:
    """Return the state of a job."""
    found = _jobs.status(job)
    if found is None:
        raise HTTPException(404)
    return found


@app.get("/result/{job}")
async def result(job: str) -> Response:
    """Return the description of a job that is done."""
    found = _jobs.result(job)
    if found is None:
        raise HTTPException(409)
    return Response(found, media_type="application/json")


@app.get("/unfinished")
async def unfinished() -> dict[str, int]:
    """Return the numbers of unfinished and failed jobs."""
    return {"unfinished": _jobs.count(UNFINISHED), "failed": _jobs.count("status = 'failed'")}
