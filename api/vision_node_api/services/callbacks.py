"""Callbacks: which ones are accepted, and the states of their messages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vision_node_contract.callbacks.urls import CallbackRules, CallbackURL, CallbackURLError
from vision_node_contract.history.database import HistoryError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob

from ..web.problems import Problem
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
    """Reads the states of messages to callbacks."""

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

        if row.state == "omitted":
            last_error = (
                f"{NOT_AVAILABLE}: It was archived by a release that sent nothing to callbacks."
            )
            return CallbackState("failed", last_error=last_error)
        due = row.next_attempt_at if row.state == "pending" else None
        return CallbackState(row.state, row.attempts, row.last_error, due, row.delivered_at)
