"""The response with the result of a job."""

from typing import Literal

from pydantic import Field
from vision_node_contract.models.description import Result


class ResultResponse(Result):
    """Response to GET /result/{job_id}: what describers report, in the same form for all of them.

    It only documents the response. Results are sent as they were stored, because a later version
    of a describer may have added fields.
    """

    job_id: str
    status: Literal["done"] = Field(description="only finished jobs have a result")
