"""The Celery application. Run it with `celery -A bench.celery_system.tasks worker`."""

import json
from functools import cache
from pathlib import Path
from typing import cast

from celery import Celery
from minio import Minio
from vision_node_contract.models.description import Description, Options, Result
from vision_node_describer.describers import Describer, load

from bench.celery_system.jobs import Jobs
from bench.celery_system.settings import Settings
from bench.celery_system.task_names import FILE_TASK, OBJECT_TASK, TASK

_settings = Settings.from_env()
app = Celery("bench", broker=_settings.broker)
app.conf.update(
    task_acks_late=True,  # as in vision-node, a job is repeated if its worker dies
    worker_prefetch_multiplier=1,  # the usual setting with late acknowledgment
    task_ignore_result=True,  # results are stored in SQLite instead
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)

# Each process fills its own cache, because the pool's processes must not share a connection.
_describer = cache(load)


@cache
def _jobs() -> Jobs:
    return Jobs(_settings.data)


@cache
def _bucket() -> Minio:
    """Return the usual client of programs that do one thing at a time."""
    bucket = _settings.bucket
    return Minio(
        bucket.endpoint,
        access_key=bucket.access_key,
        secret_key=bucket.secret_key,
        secure=bucket.secure,
        region=bucket.region,
    )


@app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery has no types
def describe(job: str) -> None:
    """Describe the image of a job as vision-node's workers do, and store the result."""
    name, image = _jobs().start(job)
    result, error = _outcome(name, image)
    _jobs().finish(job, result=result, error=error)


@app.task(name=FILE_TASK)  # type: ignore[untyped-decorator]
def describe_file(job: str, name: str, path: str) -> None:
    """Describe an image on the local disk, and store the result."""
    result, error = _outcome(name, Path(path).read_bytes())
    _jobs().add_finished(job, name, result=result, error=error)


@app.task(name=OBJECT_TASK)  # type: ignore[untyped-decorator]
def describe_object(job: str, name: str, key: str) -> None:
    """Describe an image in the bucket, and store the result."""
    response = _bucket().get_object(bucket_name=_settings.bucket.bucket, object_name=key)
    try:
        image = response.read()
    finally:
        response.close()
        response.release_conn()

    result, error = _outcome(name, image)
    _jobs().add_finished(job, name, result=result, error=error)


def _outcome(name: str, image: bytes) -> tuple[str | None, str | None]:
    """Return the result as JSON, or the error."""
    describer: Describer = _describer(name)

    try:
        # The benchmark uses only describers that are not async.
        description = cast("Description", describer.describe(image, Options()))
    except Exception as error:  # noqa: BLE001  # any error must end the job
        return None, repr(error)

    result = Result(**description.model_dump(by_alias=True), describer=name, seconds=0)
    return json.dumps(result.to_json()), None
