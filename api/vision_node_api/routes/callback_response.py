"""What responses say about the callback of a job or a batch."""

from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, Field

from ..services.callbacks import CallbackState, State


class CallbackResponse(BaseModel):
    """The state of the message to a callback. Times are in UTC."""

    state: State = Field(
        description="pending: it is sent when the job has ended, or again after a failure; "
        "delivered: the receiver answered with a 2xx status; failed: it was given up; unknown: the "
        "database is unavailable"
    )
    attempts: int = Field(description="number of attempts so far")
    last_error: str | None = Field(description="why the last attempt failed: reason and sentence")
    next_attempt_at: datetime | None = Field(
        description="when the message is sent (again); null if it is not, or is not due yet"
    )
    delivered_at: datetime | None


def callback_response(found: CallbackState | None) -> CallbackResponse | None:
    """Return what responses say about a callback; None if there is none."""
    return made_response(found) if found else None


def made_response(found: CallbackState) -> CallbackResponse:
    """Return what responses say about a callback."""
    return CallbackResponse(**asdict(found))
