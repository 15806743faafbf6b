"""The routes GET /jobs/{job_id} and GET /jobs/export."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from ..services.batches.result_formats import COLUMNS, file_name_of, result_cells
from ..services.callbacks import Callbacks
from ..services.history.job_export import ExportedJob, ExportQuery
from ..services.jobs import Jobs
from ..web import csv_cells, json_lines
from ..web.csv_cells import BYTE_ORDER_MARK, csv_rows
from ..web.json_lines import JsonLinesResponse, json_line
from ..web.problems import Problem
from .dependencies import PROBLEM, BatchImagesDep, JobExportDep, JobsDep
from .job_details import JobDetails, exported_details, image_details, job_details
from .job_filter import FilterDep, SearchText

router = APIRouter(tags=["jobs"])

EXPORT_COLUMNS = (*COLUMNS, "job_id", "describer", "created_at", "completed_at", "cursor", "labels")
"""Names of the columns in CSV: those of the results of batches, and more. A new one is the last, so
that programs find the others at their old places."""


class JsonLinesEncoder:
    """A JSON object for each job, as GET /jobs/{job_id} has it, and its cursor."""

    start = b""
    keep_alive = b"\n"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def encode(self, job: ExportedJob) -> bytes:
        """Return the line of a job."""
        details = exported_details(job, self._jobs)
        return json_line(details.model_dump(mode="json") | {"cursor": job.cursor})


class CsvEncoder:
    """A row for each job that is safe to open in a spreadsheet."""

    start = BYTE_ORDER_MARK + csv_rows([EXPORT_COLUMNS])
    keep_alive = b"\r\n"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def encode(self, job: ExportedJob) -> bytes:
        """Return the row of a job."""
        details = exported_details(job, self._jobs)
        error = details.error if details.status == "failed" else details.result_error
        custom_id = details.custom_id or ""

        cells = [
            custom_id,
            details.image.file_name or file_name_of("", custom_id),
            details.status,
            *result_cells(details.result),
            f"{error.reason}: {error.message}" if error else "",
            details.job_id,
            details.describer,
            _time(details.created_at),
            _time(details.completed_at),
            job.cursor,
            ",".join(f"{name}={value}" for name, value in details.labels.items()),
        ]
        return csv_rows([cells])


class CsvExportResponse(JsonLinesResponse):
    """A streamed table whose client must keep reading."""

    media_type = csv_cells.MEDIA_TYPE

    def last_piece(self, problem: Problem) -> bytes:
        """Return a row with the problem, which ends a table that can't be completed."""
        cells = dict.fromkeys(EXPORT_COLUMNS, "") | {
            "phase": "failed",
            "error": f"{problem.reason}: {problem.detail}",
            "cursor": problem.extensions.get("cursor") or "",
        }
        return csv_rows([list(cells.values())])


@router.get(
    "/jobs/export",
    response_class=Response,
    responses={
        200: {
            "description": "One line for each job, the newest first",
            "content": {json_lines.MEDIA_TYPE: {}, csv_cells.MEDIA_TYPE: {}},
        },
        **dict.fromkeys((400, 422, 429, 501, 503), PROBLEM),
    },
)
async def export_jobs(
    export: JobExportDep,
    jobs: JobsDep,
    wanted: FilterDep,
    *,
    format: Annotated[  # noqa: A002 (the parameter's name in the API)
        Literal["jsonl", "csv"],
        Query(
            description="jsonl: JSON Lines with everything that is known. csv: a table for "
            "spreadsheets, with a line of column names if there is no `cursor`"
        ),
    ] = "jsonl",
    limit: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="maximum number of jobs")
    ] = None,
    cursor: Annotated[
        str | None, Query(description="`cursor` of the last line that has arrived")
    ] = None,
    q: SearchText = None,
) -> Response:
    """Stream all jobs of a list, or all matches of a search, as JSON Lines or CSV.

    The parameters are those of GET /jobs. Each line has a `cursor`, which continues behind it. A
    response that can't be completed ends with an error, and without the end of the body.
    """
    query = ExportQuery(limit, cursor, q, wanted)
    if format == "jsonl":
        return JsonLinesResponse(export.pieces(query, JsonLinesEncoder(jobs)), {})

    # Browsers then store the table instead of showing it.
    headers = {"Content-Disposition": 'attachment; filename="jobs.csv"'}
    return CsvExportResponse(export.pieces(query, CsvEncoder(jobs)), headers)


@router.get(
    "/jobs/{job_id}",
    response_model=JobDetails,
    responses=dict.fromkeys((404, 502, 503), PROBLEM),
)
async def get_job(job_id: str, jobs: JobsDep, images: BatchImagesDep) -> Response:
    """Return everything about one job: its state, image, options, labels and result.

    `<batch>.<index>` is an image of a batch, unless a job has this id. If the result can't be read,
    `result_error` says why.
    """
    try:
        found = await jobs.complete(job_id)
        callbacks = Callbacks(jobs.history, jobs.settings.callbacks)
        details = job_details(found, jobs, await callbacks.state_of(found.job))
    except Problem as problem:
        image = await images.find(job_id) if problem.reason == "JobNotFound" else None
        if image is None:
            raise
        details = image_details(job_id, image, jobs)

    # As in GET /status, whose fields these are.
    return Response(details.model_dump_json(), media_type="application/json")


def _time(time: datetime | None) -> str:
    """Return a time as in JSON; an empty text if there is none."""
    return time.isoformat().replace("+00:00", "Z") if time else ""
