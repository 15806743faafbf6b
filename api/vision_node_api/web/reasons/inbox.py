"""Reasons that concern the inbox."""

from .entry import ReasonEntry

INBOX = (
    ReasonEntry(
        "ObjectNotFound",
        (404,),
        "There is no such object",
        "The inbox has no object with this name. It may have expired.",
        "GET /inbox lists the existing objects.",
    ),
    ReasonEntry(
        "ObjectExists",
        (409,),
        "The name is taken",
        "The inbox has an object with this name and different bytes, or a folder with this name.",
        "Use another name, or replace the object with replace=true.",
    ),
    ReasonEntry(
        "ObjectInUse",
        (409,),
        "The object is in use",
        "Unfinished ImageJobs or ImageBatches use the object.",
        "Wait until they are finished, cancel them, or follow the detail.",
        repeatable=True,
    ),
    ReasonEntry(
        "ObjectChanged",
        (409,),
        "The object keeps changing",
        "Other requests store objects with the same name at the same time.",
        "Send the image again, or use another name.",
        repeatable=True,
    ),
)
