"""Reasons that concern jobs, their results and lists of them."""

from .entry import Place, ReasonEntry

JOBS = (
    ReasonEntry(
        "JobNotFound",
        (404,),
        "There is no such job",
        "No job has this id. Finished jobs are deleted after their time to live.",
        "Check the id. If the job was deleted, submit the image again.",
    ),
    ReasonEntry(
        "NotDone",
        (409,),
        "The job is not finished",
        "The job, or the image of a batch, is queued or processing, so it has no result yet.",
        "Poll GET /status/{job_id} until it is done or failed.",
        repeatable=True,
    ),
    ReasonEntry(
        "JobUnreadable",
        (502,),
        "The job can't be read",
        "This version of the API can't read the ImageJob, for example because a newer version has "
        "written it.",
        "Upgrade the API, or submit the image again.",
    ),
    ReasonEntry(
        "JobRefused",
        (422,),
        "Kubernetes refused the job",
        "The Kubernetes API server refused the ImageJob, for example because of an admission "
        "policy.",
        "Correct what the detail quotes, or ask the cluster's administrator.",
    ),
    ReasonEntry(
        "TooManyJobs",
        (429,),
        "Too many unfinished jobs",
        "As many jobs are queued or processing as the release allows (GET /limits).",
        "Send the request again later. For many images, use a batch.",
        repeatable=True,
    ),
    ReasonEntry(
        "TooManyImageJobs",
        (429,),
        "Too many jobs in Kubernetes",
        "Kubernetes has as many ImageJobs, finished ones included, as the release allows.",
        "Send the request again later. If this lasts, an administrator should check that the "
        "archiver runs and reaches the database.",
        repeatable=True,
    ),
    ReasonEntry(
        "QuotaExceeded",
        (429,),
        "A quota is exhausted",
        "A ResourceQuota of the namespace allows no more objects.",
        "Send the request again later. An administrator can delete finished objects or raise the "
        "quota.",
        repeatable=True,
    ),
    ReasonEntry(
        "IdempotencyKeyReused",
        (422,),
        "The Idempotency-Key was used for another request",
        "The key belongs to a request with another image, other images or other options.",
        "Use a new key for a new request, and the same key only to repeat the same request.",
    ),
    ReasonEntry(
        "ResultGone",
        (410,),
        "The result was deleted",
        "The job or image is done, but its result is no longer in storage.",
        "Submit the image again.",
    ),
    ReasonEntry(
        "ResultChanged",
        (502,),
        "The result was overwritten",
        "The SHA-256 of the stored result is not the one that the worker reported.",
        "Submit the image again, and find out who else writes to the bucket.",
    ),
    ReasonEntry(
        "ResultUnreadable",
        (502,),
        "The result can't be read",
        "The stored result is too large, or is not a result.",
        "Submit the image again.",
    ),
    ReasonEntry(
        "ResultNotIncluded",
        (),
        "The export does not have the result",
        "The result is only in the bucket, which exports don't read: it is larger than 1 MiB, or "
        "the job is not archived yet.",
        "GET /result/{job_id} has it.",
        places=(Place.EXPORT,),
    ),
    ReasonEntry(
        "QueryWithoutWords",
        (422,),
        "The search has no words",
        "The parameter q has no letters and no digits.",
        "Search for at least one word.",
    ),
    ReasonEntry(
        "HistoryDisabled",
        (501,),
        "The release has no database",
        "Searches need the history, which this release does not have.",
        "Leave out q, or have an administrator enable the database (database.enabled).",
    ),
)
