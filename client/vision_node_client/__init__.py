"""A client for vision-node: images in, descriptions out.

from vision_node_client import VisionNode

with VisionNode("http://127.0.0.1:8000") as node:
    print(node.describe("photo.jpg"))
"""

from .access_models import ApiKey, CreatedApiKey, DailyUsage, Identity, Usage
from .api_key import KeySource
from .async_client import AsyncVisionNode
from .errors import (
    JobFailedError,
    ProblemError,
    ProtocolError,
    UnreachableError,
    VisionNodeError,
    WaitTimeoutError,
)
from .images import Image
from .models import (
    Batch,
    Callback,
    Counts,
    CreatedBatch,
    Describer,
    Description,
    Event,
    Failure,
    Job,
    JobDetails,
    ListedBatch,
    ListedJob,
    NotRetriedJob,
    Part,
    Refusal,
    Result,
    RetriedJob,
    RetriedJobs,
    StoredImage,
)
from .options import BatchOptions, JobFilter, SubmitOptions
from .protocol.retries import Retries
from .sync_client import VisionNode

__all__ = [
    "ApiKey",
    "AsyncVisionNode",
    "Batch",
    "BatchOptions",
    "Callback",
    "Counts",
    "CreatedApiKey",
    "CreatedBatch",
    "DailyUsage",
    "Describer",
    "Description",
    "Event",
    "Failure",
    "Identity",
    "Image",
    "Job",
    "JobDetails",
    "JobFailedError",
    "JobFilter",
    "KeySource",
    "ListedBatch",
    "ListedJob",
    "NotRetriedJob",
    "Part",
    "ProblemError",
    "ProtocolError",
    "Refusal",
    "Result",
    "RetriedJob",
    "RetriedJobs",
    "Retries",
    "StoredImage",
    "SubmitOptions",
    "UnreachableError",
    "Usage",
    "VisionNode",
    "VisionNodeError",
    "WaitTimeoutError",
]
