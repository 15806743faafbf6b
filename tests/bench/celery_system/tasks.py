"""The Celery application. Run it with `celery -A bench.celery_system.tasks worker`."""

import json
from functools import cache
from typing import cast

from celery import Celery
from vision_node_contract.models.description import Description, Options, Result
from vision_node_describer.describers import Describer, load

from bench.celery_system.jobs import Jobs
from bench.celery_system.settings import Settings

TASK = "describe"

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


@app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery has no types
def describe(job: str) -> None:
    """Describe the image of a job as vision-node's workers do, and store the result."""
    name, image = _jobs().start(job)
    describer: Describer = _describer(name)

    try:
        # The benchmark uses only describers that are not async.
        description = cast("Description", describer.describe(image, Options()))
    except Exception as error:  # noqa: BLE001  # any error must end the job
        _jobs().finish(job, result=None, error=repr(error))
        return

    result = Result(**description.model_dump(by_alias=True), describer=name, seconds=0)
    _jobs().finish(job, result=json.dumps(result.to_json()), error=None)
