"""Reasons that concern streams of events."""

from .entry import ReasonEntry

FOLLOWING = (
    ReasonEntry(
        "InvalidLastEventId",
        (400,),
        "The Last-Event-ID is invalid",
        "The header Last-Event-ID, or the parameter lastEventId, is not the id of an event.",
        "Send the id of the last event unchanged, or none to begin now.",
    ),
    ReasonEntry(
        "TooManyFollowers",
        (429,),
        "Too many clients follow jobs and batches",
        "As many clients follow jobs and batches as the replica allows.",
        "Connect again after the time in the header Retry-After, or poll.",
        repeatable=True,
    ),
)
