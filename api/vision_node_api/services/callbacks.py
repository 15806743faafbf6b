"""Callbacks: which ones are accepted, the states of their messages, and sending these again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vision_node_contract.callbacks.urls import CallbackRules, CallbackURL, CallbackURLError
from vision_node_contract.history.database import HistoryError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob

from ..web.problems import Problem
from .history.callback_rows import CallbackRow
from .history.history_problems import ADMINISTRATOR_RETRY_AFTER_SECONDS, history_problems
from .history.reader import HistoryReader

NOT_AVAILABLE = "CallbacksNotAvailable"

State = Literal["pending", "delivered", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class CallbackState:
    """The state of the message to a callback."""

    state: State
    """`pending` until the message is delivered or given up; `unknown` while the database is
    unavailable."""
    attempts: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None


def require_callback(url: str | None, rules: CallbackRules | None) -> None:
    """Refuse a callback to which nothing could be sent. Its host is not resolved yet.

    Args:
        url: The callback; None if the client wants none.
        rules: What callbacks may reach; None if the release sends none.

    Raises:
        Problem: 422 CallbacksNotAvailable, CallbackURLNotAllowed.
    """
    if url is None:
        return
    if rules is None:
        detail = (
            "This release sends nothing to a callbackURL: it has no database, or webhooks.enabled "
            "is false. Leave callbackURL out, and poll the status or wait for the end "
            "(Prefer: wait=60)."
        )
        raise Problem(422, NOT_AVAILABLE, detail)

    try:
        CallbackURL.parse(url, rules)
    except CallbackURLError as error:
        detail = f"Nothing can be sent to this callbackURL: {error}."
        raise Problem(422, "CallbackURLNotAllowed", detail) from error


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Reads the states of messages to callbacks, and has them sent again."""

    history: HistoryReader | None
    rules: CallbackRules | None

    async def state_of(self, about: ImageJob | ImageBatch) -> CallbackState | None:
        """Return the state of the message about a job or a batch; None if it has no callback."""
        if not about.spec.callback_url:
            return None
        if self.history is None or self.rules is None:
            error = f"{NOT_AVAILABLE}: This release sends nothing to callbacks."
            return CallbackState("failed", last_error=error)
        if not about.finished:
            return CallbackState("pending")

        try:
            row = await self.history.find_callback(about.metadata.uid)
        except HistoryError as error:
            last_error = f"{error.reason}: The database is unavailable."
            return CallbackState("unknown", last_error=last_error)

        return _state(row)

    async def redeliver(self, about: ImageJob | ImageBatch) -> CallbackState:
        """Have the message about a finished job or batch sent now, and return its new state.

        Raises:
            Problem: 409 NoCallback, CallbackNotDue; 503 CallbacksNotAvailable, or a reason of the
                history.
        """
        name = about.metadata.name
        if not about.spec.callback_url:
            raise Problem(409, "NoCallback", f"{name} has no callbackURL, so it has no message.")
        if self.history is None or self.rules is None:
            raise _not_available()
        if not about.finished:
            detail = f"{name} has not ended. The message is sent when it has."
            raise Problem(409, "CallbackNotDue", detail)

        with history_problems():
            row = await self.history.redeliver_callback(about.metadata.uid)
        if row.state == "omitted":
            detail = (
                f"{name} has a callbackURL, but it was archived by a release that sent no messages "
                "to callbacks, so it has none."
            )
            raise Problem(409, "NoCallback", detail)

        return _state(row)


def _state(row: CallbackRow) -> CallbackState:
    if row.state == "omitted":
        last_error = (
            f"{NOT_AVAILABLE}: It was archived by a release that sent nothing to callbacks."
        )
        return CallbackState("failed", last_error=last_error)

    due = row.next_attempt_at if row.state == "pending" else None
    return CallbackState(row.state, row.attempts, row.last_error, due, row.delivered_at)


def _not_available() -> Problem:
    headers = {"Retry-After": ADMINISTRATOR_RETRY_AFTER_SECONDS}
    detail = (
        "This release sends nothing to callbacks now: it has no database, or webhooks.enabled is "
        "false. An administrator can change that in the chart's values."
    )
    return Problem(503, NOT_AVAILABLE, detail, headers=headers)
