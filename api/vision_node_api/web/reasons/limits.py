"""Reasons that concern the limits of one owner, which apply if clients are authenticated.

RateLimited is among the reasons of describers, because providers limit the rate, too.
"""

from .entry import ReasonEntry

LIMITS = (
    ReasonEntry(
        "TooManyJobsOfOwner",
        (429,),
        "Too many unfinished jobs of this owner",
        "As many jobs and batches of this owner are queued or processing as its limit allows "
        "(GET /limits).",
        "Wait until some have ended, or cancel some. For many images, use a batch, which counts as "
        "one.",
        repeatable=True,
    ),
    ReasonEntry(
        "OwnerShareUsed",
        (429,),
        "This owner's share is in use",
        "The clients of this owner already hold as much of the replica as one owner may at the "
        "same time: streams of events, results or exports, uploads, downloads, thumbnails or "
        "searches. The detail says which, and how many.",
        "Let some of them end, or send the request again after the time in the header Retry-After.",
        repeatable=True,
    ),
    ReasonEntry(
        "DailyBytesUsed",
        (429,),
        "The limit on bytes per day has been reached",
        "With this request, the total size of this owner's images of today would exceed its limit "
        "(GET /usage). Days are in UTC.",
        "Send the request again after midnight UTC, or ask an administrator for a higher limit.",
        repeatable=True,
    ),
    ReasonEntry(
        "DailyTokensUsed",
        (429,),
        "The limit on tokens per day has been reached",
        "Providers have charged this owner as many tokens today as its limit allows (GET /usage). "
        "Days are in UTC.",
        "Choose a describer that runs in the cluster, such as local; or send the request again "
        "after midnight UTC, or ask an administrator for a higher limit.",
        repeatable=True,
    ),
)
