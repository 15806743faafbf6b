"""Reasons that concern streams of events."""

from .entry import Place, ReasonEntry

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
    ReasonEntry(
        "VersionTooOld",
        (),
        "Changes are unknown",
        "The replica does not know all changes since the client's last event: it started later, "
        "had to list all objects again, or too much has changed.",
        "Read the lists again. Events continue.",
        places=(Place.EVENT,),
    ),
    ReasonEntry(
        "ChangesMissed",
        (),
        "Changes may have been missed",
        "The replica had to list all objects again while the client was connected.",
        "Read the lists again. Events continue.",
        places=(Place.EVENT,),
    ),
    ReasonEntry(
        "VersionUnknown",
        (),
        "The id is ahead of the cluster",
        "The cluster has not reached the id of the client's last event: its database was restored, "
        "or the id is of another cluster.",
        "Read the lists again. Events continue.",
        places=(Place.EVENT,),
    ),
)
