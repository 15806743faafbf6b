"""Routes for the probes of Kubernetes."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from ..services.health import Health
from ..services.storage_health import DependencyState
from ..web.problems import Problem
from .dependencies import PROBLEM

router = APIRouter(tags=["health"])

RETRY_AFTER_SECONDS = "2"
"""Retry-After, in seconds, while the replica is not ready."""


class AliveResponse(BaseModel):
    """Response to GET /healthz."""

    status: Literal["ok"]


class ReadyResponse(BaseModel):
    """Response to GET /readyz. Each state is `ok`, or a reason."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ready"]
    kubernetes: str
    storage: str
    details: dict[str, str] = Field(description="explanations of states that are not ok")


def get_health(request: Request) -> Health:
    """Return the application's health."""
    health: Health = request.app.state.health
    return health


@router.get("/healthz", responses={500: PROBLEM})
async def healthz(request: Request) -> AliveResponse:
    """Report whether all background tasks are running. If not, Kubernetes restarts the pod."""
    try:
        get_health(request).check_alive()
    except RuntimeError as error:
        raise Problem(500, "WatchStopped", str(error)) from error

    return AliveResponse(status="ok")


@router.get(
    "/readyz",
    response_model=None,
    responses={200: {"model": ReadyResponse, "description": "The replica is ready"}, 503: PROBLEM},
)
async def readyz(request: Request) -> dict[str, object]:
    """Report whether the API can serve requests. Include the states of storage and Kubernetes."""
    health = get_health(request)
    states = health.states()
    summary = {name: found.state for name, found in states.items()}
    details = {name: found.detail for name, found in states.items() if not found.is_ok}

    if health.is_ready:
        return {"status": "ready", **summary, "details": details}

    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = _why_not_ready(health, states)
    raise Problem(503, "NotReady", detail, headers=headers, **summary, details=details)


def _why_not_ready(health: Health, states: dict[str, DependencyState]) -> str:
    are_listed = all(watch.listed for watch in health.watches)
    missing = [] if are_listed else ["Jobs and describers have not been listed yet."]
    causes = [f"{found.detail.rstrip('.')}." for found in states.values() if not found.is_ok]
    return " ".join([*missing, *causes, "Try again later."])
