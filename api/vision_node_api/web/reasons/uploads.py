"""Reasons that concern the body of an upload, before its images are looked at."""

from .entry import ReasonEntry

UPLOADS = (
    ReasonEntry(
        "NotAForm",
        (415,),
        "The route does not accept the type of the body",
        "The route does not accept this Content-Type. An upload is a form or an image; the "
        "options of POST /jobs/{job_id}/retry are JSON or a form.",
        "Upload an image as a form (curl -F file=@photo.jpg), or alone (curl --data-binary "
        "@photo.jpg -H 'Content-Type: image/jpeg'). Retry a job with JSON (curl -H 'Content-Type: "
        "application/json' -d '{}'), a form, or no body.",
    ),
    ReasonEntry(
        "MissingImage",
        (400,),
        "The form has no image",
        "No field of the form is an image.",
        "Put the image into the field `file`. With curl, don't forget the @ before the file's "
        "name.",
    ),
    ReasonEntry(
        "EmptyImage",
        (400,),
        "The image is empty",
        "The image has no bytes.",
        "Check the file, and send it again.",
    ),
    ReasonEntry(
        "TooManyImages",
        (400, 413),
        "Too many images",
        "A submission has several images, or an upload has more images than a batch may have.",
        "Send one image in each submission, or split the upload into several batches.",
    ),
    ReasonEntry(
        "TooManyParts",
        (400,),
        "The form has too many parts",
        "The form has more parts than a submission may need.",
        "Send only the image and its options.",
    ),
    ReasonEntry(
        "UploadBroken",
        (400,),
        "The upload was cut off",
        "The connection ended before the upload did, or the tar stream or zip file is damaged.",
        "Send it again. Check the file if this happens again.",
        repeatable=True,
    ),
    ReasonEntry(
        "UploadTooSlow",
        (408,),
        "The upload is too slow",
        "The upload arrives at less than the minimum rate, so that it would occupy memory for too "
        "long.",
        "Send smaller images, or use a faster connection. GET /limits has the longest time.",
        repeatable=True,
    ),
    ReasonEntry(
        "TooManyUploads",
        (429,),
        "Too many uploads at the same time",
        "The replica receives as many uploads as it has memory for.",
        "Send the request again after the time in the header Retry-After.",
        repeatable=True,
    ),
    ReasonEntry(
        "ContentEncodingUnsupported",
        (415,),
        "The body is compressed",
        "The request has a Content-Encoding, such as gzip.",
        "Send the body unchanged, without Content-Encoding.",
    ),
    ReasonEntry(
        "NotAnUpload",
        (409, 415),
        "Not an upload of images",
        "The Content-Type is none that POST /batches accepts, or the batch's images are in the "
        "inbox.",
        "Send a form, a tar stream, a zip file or JSON. Upload single images only to a batch that "
        'was created with the JSON {"upload": {}}.',
    ),
    ReasonEntry(
        "ArchiveUnsupported",
        (415,),
        "The archive is not supported",
        "The archive is split, compressed as a whole, or has another format than its "
        "Content-Type says.",
        "Send an uncompressed tar stream or one complete zip file.",
    ),
    ReasonEntry(
        "DirectoryTooLarge",
        (413,),
        "The zip file's directory is too large",
        "The central directory of the zip file exceeds the limit.",
        "Send several smaller zip files, each as a batch.",
    ),
    ReasonEntry(
        "ZipTooLarge",
        (413,),
        "The zip file is too large",
        "The zip file exceeds the limit.",
        "Send several smaller zip files, each as a batch.",
    ),
    ReasonEntry(
        "DocumentTooLarge",
        (413,),
        "The JSON document is too large",
        "The JSON body of POST /batches exceeds the limit.",
        "Send only the fields that GET /docs describes. Images don't belong into the document.",
    ),
)
