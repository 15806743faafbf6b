"""Routes for following jobs and batches as Server-Sent Events."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from vision_node_contract.models.imagejob import Phase

from ..services.following.all_stream import AllStream
from ..services.following.event_filter import EventFilter, read_labels
from ..services.following.followers import WhenStopping
from ..services.following.last_event_id import read_last_event_id
from ..services.following.object_stream import ObjectStream
from ..services.following.states import Rendering
from ..services.jobs import Jobs
from ..watch.change_log import Position
from ..web import event_stream
from ..web.event_stream import EventStreamResponse
from ..web.http_protocol import ON_SHUTDOWN
from .batch_responses import batch_response
from .dependencies import PROBLEM, BatchName, FollowingDep
from .jobs import image_status_json, status_json

router = APIRouter(tags=["events"])

MAX_LABELS = 10
"""Maximum number of labels in the query."""

_STREAM: dict[str, Any] = {
    "description": "Events `job`, `batch`, `deleted` and `reset`; the id is a resourceVersion",
    "content": {event_stream.MEDIA_TYPE: {}},
}
_ONE: dict[int | str, dict[str, Any]] = {
    200: _STREAM,
    204: {"description": "The client already has the last state"},
    **dict.fromkeys((400, 404, 429, 502, 503), PROBLEM),
}
_ALL: dict[int | str, dict[str, Any]] = {
    200: _STREAM,
    **dict.fromkeys((400, 422, 429, 503), PROBLEM),
}


def rendering(jobs: Jobs) -> Rendering:
    """Return the functions that make the data of events: the JSON of other routes."""
    kept = jobs.settings.job_kept
    return Rendering(
        job=lambda job: status_json(job, jobs),
        image=lambda job_id, image: image_status_json(job_id, image, kept),
        batch=lambda batch, root: batch_response(batch, kept, root).model_dump_json(),
    )


async def get_since(
    last_event_id: Annotated[
        str | None, Header(description="id of the last event that the client has")
    ] = None,
    parameter: Annotated[
        str | None,
        Query(
            alias="lastEventId",
            description="the same, for clients that can't set headers; the header has precedence",
        ),
    ] = None,
) -> Position | None:
    """Return how far the client has followed; None if it begins now."""
    return read_last_event_id(last_event_id, parameter)


SinceDep = Annotated[Position | None, Depends(get_since)]


@router.get("/jobs/{job_id}/events", response_class=Response, responses=_ONE)
async def job_events(
    job_id: str, request: Request, following: FollowingDep, since: SinceDep
) -> Response:
    """Send the state of a job, and each new state, until it is done or has failed.

    `<batch>.<index>` is an image of a batch, unless a job has this id.
    """
    return _response(request, await following.job(job_id, since))


@router.get("/batches/{name}/events", response_class=Response, responses=_ONE)
async def batch_events(
    name: BatchName, request: Request, following: FollowingDep, since: SinceDep
) -> Response:
    """Send the state of a batch, and each new state, until it is done or has failed."""
    return _response(request, await following.batch(name, since, _root_path(request)))


@router.get("/events", response_class=Response, responses=_ALL)
async def all_events(
    request: Request,
    following: FollowingDep,
    since: SinceDep,
    *,
    phase: Annotated[Phase | None, Query(description="only states with this status")] = None,
    batch: Annotated[str | None, Query(description="only the batch with this name")] = None,
    describer: Annotated[str | None, Query(description="only with this describer")] = None,
    label: Annotated[
        list[str] | None,
        Query(
            max_length=MAX_LABELS,
            description="only with this label of the Kubernetes object: key=value; may be repeated",
        ),
    ] = None,
) -> Response:
    """Send each new state of all jobs and batches, from now on or since the last event."""
    wanted = EventFilter(phase, batch, describer, read_labels(label or []))
    return _response(request, await following.all(since, wanted, _root_path(request)))


def _response(request: Request, stream: ObjectStream | AllStream | None) -> Response:
    if stream is None:
        # This tells browsers not to connect again.
        return Response(status_code=204)

    when_stopping: WhenStopping = request.scope.get(ON_SHUTDOWN, lambda _: None)
    return EventStreamResponse(stream.pieces(when_stopping))


def _root_path(request: Request) -> str:
    root_path: str = request.scope.get("root_path", "")
    return root_path
