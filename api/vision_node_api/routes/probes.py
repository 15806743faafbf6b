"""Answers for those who watch over the API: Kubernetes' probes, Prometheus, and people."""

from fastapi import APIRouter, Request, Response

from ..services.health import Health
from ..services.metrics import CONTENT_TYPE, Metrics
from ..services.storage_health import DependencyState
from ..web.problems import Problem

router = APIRouter(include_in_schema=False)

RETRY_AFTER_SECONDS = "2"


def health_of(request: Request) -> Health:
    """Return what the application's start has made."""
    health: Health = request.app.state.health
    return health


@router.get("/healthz")
async def healthz(request: Request) -> dict[str, str]:
    """Tell that the process lives and follows what it should; Kubernetes restarts it otherwise."""
    try:
        health_of(request).check_alive()
    except RuntimeError as error:
        raise Problem(500, "WatchStopped", str(error)) from error
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, object]:
    """Tell whether the API can serve something, and how storage and Kubernetes fare."""
    health = health_of(request)
    states = health.states()
    told = {name: found.state for name, found in states.items()}
    details = {name: found.detail for name, found in states.items() if not found.is_ok}
    if health.is_ready:
        return {"status": "ready", **told, "details": details}

    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    raise Problem(503, "NotReady", _why_not(states), headers=headers, **told, details=details)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Tell Prometheus what this replica has done and how it fares."""
    told: Metrics = request.app.state.metrics
    return Response(told.text(), media_type=CONTENT_TYPE)


def _why_not(states: dict[str, DependencyState]) -> str:
    why = "; ".join(found.detail for found in states.values() if not found.is_ok)
    return f"jobs and describers have not been listed yet{why and f' ({why})'}; try again later"
