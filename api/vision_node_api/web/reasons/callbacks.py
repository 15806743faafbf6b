"""Reasons that concern callbacks (webhooks)."""

from .entry import ReasonEntry

CALLBACKS = (
    ReasonEntry(
        "CallbacksNotAvailable",
        (422,),
        "The release sends nothing to callbacks",
        "The request has a callbackURL, but the release has no database, or webhooks.enabled is "
        "false.",
        "Leave callbackURL out, and poll the status or wait for the end (`Prefer: wait=60`).",
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
