"""Why a job has failed, as responses say it."""

from typing import Self

from pydantic import BaseModel, Field
from vision_node_contract.models import imagejob


class JobError(BaseModel):
    """Why a job has failed.

    Names are in snake_case, as those of all fields about jobs. In the status of an ImageJob, they
    are in camelCase.
    """

    reason: str = Field(description="word in CamelCase, which GET /problems/{reason} explains")
    message: str = Field(description="text for people")
    retryable: bool = Field(
        description="whether the last attempt failed for a reason that may have passed since"
    )
    retry_after_seconds: float | None = Field(
        default=None, description="how long the provider asked to wait; null if it did not"
    )

    @classmethod
    def of(cls, error: imagejob.JobError | None) -> Self | None:
        """Return the error in the status of an ImageJob; None if there is none."""
        return cls(**dict(error)) if error else None
