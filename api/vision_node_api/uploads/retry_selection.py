"""The JSON body of POST /jobs/retry: which failed jobs to retry, and what to change."""

from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from ..web.reasons import REASON_PATTERN
from ..web.times import read_time
from .batch_options import NAME_PATTERN
from .retry_options import RetryOptions

DEFAULT_RETRIES = 100
"""Number of failed jobs that one request looks at if the client sets no limit."""

MAX_RETRIES = 1000
"""Maximum number of failed jobs that one request looks at. Retrying them takes some ten seconds."""


def _time(value: object) -> object:
    """Read a time of RFC 3339. Pydantic would also take numbers, as seconds since 1970."""
    time = read_time(value) if isinstance(value, str) else None
    if value is not None and time is None:
        message = "Input should be a time of RFC 3339 with a time zone, like 2026-01-31T12:00:00Z"
        raise PydanticCustomError("no_time", message)
    return time


_Time = Annotated[AwareDatetime | None, BeforeValidator(_time)]


class RetrySelection(BaseModel):
    """Which failed jobs to retry. Unknown members are refused, because they may be misspelled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field(
        pattern=REASON_PATTERN, description="reason of the failure, such as NoWorker"
    )
    describer: str | None = Field(
        None, pattern=NAME_PATTERN, description="only jobs with this describer"
    )
    after: _Time = Field(None, description="only jobs that were created at or after this time")
    before: _Time = Field(None, description="only jobs that were created before this time")
    limit: int = Field(
        DEFAULT_RETRIES, ge=1, le=MAX_RETRIES, description="how many failed jobs to look at"
    )
    cursor: str | None = Field(None, description="`next` of the previous response")
    changes: dict[str, Any] = Field(
        default_factory=dict,
        description="what is to be different, as for POST /jobs/{job_id}/retry",
    )

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        """Return the selection in a JSON body.

        Raises:
            Problem: 422 OptionsInvalid.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            invalid = "; ".join(
                f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()
            )
            detail = f"The JSON body is invalid: {invalid}."
            raise Problem(422, Reason.OPTIONS_INVALID, detail) from error

    def options(self, max_ttl_seconds: int) -> RetryOptions:
        """Return what is to be different.

        Raises:
            Problem: 422 OptionsInvalid.
        """
        return RetryOptions.check(self.changes, max_ttl_seconds)
