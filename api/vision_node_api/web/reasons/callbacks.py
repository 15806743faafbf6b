"""Reasons that concern callbacks (webhooks)."""

from .entry import ReasonEntry

CALLBACKS = (
    ReasonEntry(
        "CallbacksNotAvailable",
        (422, 503),
        "The release sends nothing to callbacks",
        "The request has a callbackURL, or is to send a message again, but the release has no "
        "database, or webhooks.enabled is false.",
        "Leave callbackURL out, and poll the status or wait for the end (`Prefer: wait=60`).",
    ),
    ReasonEntry(
        "NoCallback",
        (409,),
        "There is no message to send again",
        "The job or batch was created without a callbackURL, or it was archived by a release that "
        "sent nothing to callbacks.",
        "Read its result with GET /result, or GET /batches/{name}/results. For the next one, set "
        "callbackURL.",
    ),
    ReasonEntry(
        "CallbackNotDue",
        (409,),
        "The message is not due yet",
        "The job or batch has not ended, so there is nothing to send again.",
        "Wait: the message is sent when it has ended.",
        repeatable=True,
    ),
    ReasonEntry(
        "CallbackURLNotAllowed",
        (422,),
        "Nothing can be sent to this callbackURL",
        "The callbackURL has an unusual form, is not https, or its host is not on the public "
        "internet.",
        "Use an https URL of a public host. For hosts in private networks, an administrator can "
        "set webhooks.allowedNetworks.",
    ),
)
