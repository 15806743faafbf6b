"""Reasons that concern the stored images of jobs, and thumbnails of them."""

from .entry import Place, ReasonEntry

IMAGES = (
    ReasonEntry(
        "ImageGone",
        (410,),
        "The image no longer exists",
        "The image of the job, or of the batch, is no longer in storage, or can't be read there. "
        "It can't be shown or described again.",
        "Submit the image again.",
        places=(Place.FILE,),
    ),
    ReasonEntry(
        "ImageUnknown",
        (409,),
        "The images of the batch are not listed yet",
        "The batch has just been created, so it is not known yet which image has this index.",
        "Send the request again when the batch is processing.",
        repeatable=True,
    ),
    ReasonEntry(
        "NoThumbnail",
        (422,),
        "There is no thumbnail",
        "The image can't be decoded, or only with more time or memory than a thumbnail may take.",
        "Get the image itself with GET /jobs/{job_id}/image.",
    ),
    ReasonEntry(
        "TooManyDownloads",
        (503,),
        "Too many downloads at the same time",
        "The replica is sending as many images as it has memory for.",
        "Send the request again after the time in the header Retry-After.",
        repeatable=True,
    ),
    ReasonEntry(
        "TooManyThumbnails",
        (503,),
        "Too many thumbnails at the same time",
        "As many thumbnails are waiting to be made as the replica allows.",
        "Send the request again after the time in the header Retry-After.",
        repeatable=True,
    ),
)
