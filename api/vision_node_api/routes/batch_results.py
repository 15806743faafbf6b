"""The route GET /batches/{name}/results."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ..services.batches.result_formats import ResultFormat, broken_off_row
from ..services.batches.result_line import EndedPhase
from ..services.batches.result_stream import ResultQuery
from ..web import csv_cells, json_lines
from ..web.json_lines import JsonLinesResponse
from ..web.problems import Problem
from .dependencies import PROBLEM, BatchesDep, BatchName

router = APIRouter(tags=["batches"])

AFTER_HEADER = "Vision-Node-After"
"""Header with the value of `after` for the next request."""

MAX_AFTER = 2**31 - 1
"""Maximum of `after`: the number of parts is an int32 in the CRD."""


class CsvResponse(JsonLinesResponse):
    """A streamed table whose client must keep reading."""

    media_type = csv_cells.MEDIA_TYPE

    def last_piece(self, problem: Problem) -> bytes:
        """Return a row with the problem, which ends a table that can't be completed."""
        return broken_off_row(problem)


@router.get(
    "/batches/{name}/results",
    response_class=Response,
    responses={
        200: {
            "description": "One line for each image, with its result or an error",
            "content": {json_lines.MEDIA_TYPE: {}, csv_cells.MEDIA_TYPE: {}},
            "headers": {
                AFTER_HEADER: {
                    "description": "Number of parts that existed at the start. As `after`, it "
                    "continues where a response without `follow` ended",
                    "schema": {"type": "integer"},
                }
            },
        },
        **dict.fromkeys((400, 404, 422, 429, 502, 503), PROBLEM),
    },
)
async def get_batch_results(
    name: BatchName,
    batches: BatchesDep,
    *,
    after: Annotated[
        int, Query(ge=0, le=MAX_AFTER, description="number of parts to leave out")
    ] = 0,
    follow: Annotated[
        bool,
        Query(
            description="keep the response open until the batch is finished; an empty line is sent "
            "every 15 s without results"
        ),
    ] = False,
    marks: Annotated[
        bool,
        Query(
            description='after each part, send a line {"after": n} that says where to resume; only '
            "with format=jsonl"
        ),
    ] = False,
    format: Annotated[  # noqa: A002 (the parameter's name in the API)
        ResultFormat,
        Query(
            description="jsonl: JSON Lines with everything that is known. csv: a table for "
            "spreadsheets, with a line of column names if `after` is 0"
        ),
    ] = "jsonl",
    phase: Annotated[
        EndedPhase | None,
        Query(description="only images that have been described (done), or only failed ones"),
    ] = None,
) -> Response:
    """Stream the results of an ImageBatch, finished or not, as JSON Lines or CSV.

    Each line has index, customId, key, and result or error. Each row of CSV has customId, file,
    phase, caption, alt, tags, text and error.
    """
    query = ResultQuery(after, follow, marks, format, phase)
    stream = await batches.results(name, query)
    headers = {AFTER_HEADER: str(stream.known_parts)}
    if format == "jsonl":
        return JsonLinesResponse(stream.pieces(), headers)

    # Browsers then store the table instead of showing it.
    headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return CsvResponse(stream.pieces(), headers)
