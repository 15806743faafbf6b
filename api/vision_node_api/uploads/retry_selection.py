"""The JSON body of POST /jobs/retry: which failed jobs to retry, and what to change."""

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem, invalid_fields
from ..web.times import read_time
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


def _word(text: str) -> str:
    """Refuse a text that no object can have, and that PostgreSQL may not accept, such as NUL."""
    if not text.isprintable():
        raise PydanticCustomError("no_word", "Input should be printable")
    return text


_Time = Annotated[AwareDatetime | None, BeforeValidator(_time)]
_Word = Annotated[str, AfterValidator(_word)]


class RetrySelection(BaseModel):
    """Which failed jobs to retry. Unknown members are refused, because they may be misspelled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: _Word = Field(
        min_length=1, max_length=128, description="reason of the failure, such as NoWorker"
    )
    describer: _Word | None = Field(None, description="only jobs with this describer")
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
            invalid = invalid_fields(error)
            detail = f"The JSON body is invalid: {invalid}."
            raise Problem(422, Reason.OPTIONS_INVALID, detail) from error

    def options(self, max_ttl_seconds: int) -> RetryOptions:
        """Return what is to be different.

        Raises:
            Problem: 422 OptionsInvalid.
        """
        return RetryOptions.check(self.changes, max_ttl_seconds)
