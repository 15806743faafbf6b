"""Routes that explain the reasons of problem documents."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from ..web.accept import choose_media_type
from ..web.page_headers import PAGE_HEADERS
from ..web.problems import Problem
from ..web.reasons import REGISTER, ReasonEntry
from .dependencies import PROBLEM
from .problem_page import problem_page

router = APIRouter(tags=["problems"])

JSON, HTML = "application/json", "text/html"

MAX_REASON_CHARACTERS = 100
"""Maximum number of characters that are quoted of an unknown reason."""


class ReasonResponse(BaseModel):
    """A reason of problem documents, and what its reader has to know."""

    reason: str = Field(description="word in CamelCase, which never changes")
    statuses: list[int] = Field(
        description="HTTP statuses of problem documents with this reason; empty if it appears only "
        "in other responses"
    )
    title: str = Field(description="`title` of these problem documents")
    happened: str = Field(description="what happened")
    remedy: str = Field(description="what to do")
    repeatable: bool = Field(
        description="whether the same request may succeed later without a change"
    )
    places: list[str] = Field(description="where the reason appears apart from problem documents")


class ReasonsResponse(BaseModel):
    """Response to GET /problems."""

    problems: list[ReasonResponse]


@router.get("/problems")
async def list_problems() -> ReasonsResponse:
    """List all reasons of problem documents, failed jobs, refused files and failed batches."""
    return ReasonsResponse(problems=[_response(entry) for entry in REGISTER.values()])


@router.get(
    "/problems/{reason}",
    response_class=Response,
    responses={
        200: {
            "model": ReasonResponse,
            "description": "The reason, as JSON or as a page for people",
            "content": {HTML: {}},
        },
        404: PROBLEM,
    },
)
async def get_problem(
    reason: Annotated[str, Path(description="reason of a problem document")],
    request: Request,
) -> Response:
    """Explain a reason: what happened, what to do, and whether a repetition can help.

    Browsers, which accept text/html, get a page for people. All others get JSON.
    """
    entry = REGISTER.get(reason)
    if entry is None:
        detail = f"There is no reason {reason[:MAX_REASON_CHARACTERS]!r}. GET /problems lists all."
        raise Problem(404, "ReasonNotFound", detail)

    headers = {**PAGE_HEADERS, "Vary": "Accept"}
    accept = ",".join(request.headers.getlist("accept"))
    if choose_media_type(accept, (JSON, HTML)) == HTML:
        return HTMLResponse(problem_page(entry), headers=headers)

    return JSONResponse(_response(entry).model_dump(), headers=headers)


def _response(entry: ReasonEntry) -> ReasonResponse:
    return ReasonResponse(
        reason=entry.reason,
        statuses=[*entry.statuses],
        title=entry.title,
        happened=entry.happened,
        remedy=entry.remedy,
        repeatable=entry.repeatable,
        places=[*entry.places],
    )
