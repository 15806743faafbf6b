"""Reasons that concern cancelling, retrying and deleting jobs."""

from .entry import ReasonEntry

ACTING = (
    ReasonEntry(
        "JobFinished",
        (409,),
        "The job has ended",
        "The job is done or has failed, so it can't be cancelled.",
        "Delete the job if it is no longer needed.",
    ),
    ReasonEntry(
        "JobUnfinished",
        (409,),
        "The job has not ended",
        "The job, or the image of a batch, is queued or processing, so it can't be retried yet.",
        "Wait until it has ended, or cancel it first.",
        repeatable=True,
    ),
    ReasonEntry(
        "ImageOfBatch",
        (409,),
        "The image belongs to a batch",
        "Images of a batch can't be cancelled or deleted one by one, and have no messages of their "
        "own.",
        "Use the routes of the batch.",
    ),
    ReasonEntry(
        "ActionRefused",
        (403,),
        "Kubernetes refused the action",
        "A rule of the cluster, such as a policy or a webhook, forbids that the API cancels or "
        "deletes the job.",
        "An administrator should change the rule that the detail quotes.",
    ),
)
