"""Validate the options with which an image is submitted, such as the describer to use."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError
from vision_node_contract.callbacks.urls import MAX_CHARACTERS
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem, invalid_fields
from .labels import Labels

# The CRD has the same limits, but its messages are less helpful.
_Text = Annotated[str, Field(min_length=1)]

MIN_TTL_SECONDS = 60
"""Minimum time to live that a submission may ask for, in seconds. With less, a client that polls
through a slow proxy or retries a request could miss its result."""


LOWEST_PRIORITY, HIGHEST_PRIORITY = -10, 10
"""Range of the priority that a client may set. Any client may do so, so the range is a small part
of the CRD's (-1000 to 1000): users with rights in the cluster can always put an ImageJob before or
behind all those of clients, with kubectl."""


class DescribeOptions(BaseModel):
    """The options that single images and batches have in common.

    Clients of `POST /submit` can't set the number of attempts or the timeout of an image. Only
    users with rights in the cluster may do so.
    """

    model_config = ConfigDict(populate_by_name=True)

    describer: _Text | None = Field(
        None, description="name from GET /describers; if absent, the default describer is used"
    )
    prompt: _Text | None = Field(
        None, max_length=4000, description="what to look for, or how to phrase the description"
    )
    language: str | None = Field(
        None,
        max_length=35,
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        description="BCP 47 tag of the description's language, such as en or pt-BR",
    )
    detail: Literal["low", "high", "auto"] | None = Field(None, description="how closely to look")
    max_length: int | None = Field(
        None,
        alias="maxLength",
        ge=1,
        le=20_000,
        description="maximum length of the description, in characters",
    )
    fallback: Literal["never"] | None = Field(
        None, description="never: fail instead of using the fallback describer"
    )
    text: bool | None = Field(
        None,
        description="when to read the text in the image (true: always; false: never; absent: where "
        "text is likely)",
    )

    ttl_seconds: int | None = Field(
        None,
        alias="ttlSeconds",
        ge=MIN_TTL_SECONDS,
        description="how long to keep the finished job with its image and its result, in seconds; "
        "GET /limits has the maximum (ttlSeconds) and the default (defaultTtlSeconds)",
    )
    labels: Labels | None = Field(
        None,
        description="labels for finding it again, such as team=web,tier=gold; GET /limits has the "
        "maximum number (labels)",
    )
    callback_url: _Text | None = Field(
        None,
        alias="callbackURL",
        max_length=MAX_CHARACTERS,
        description="https URL to which a signed message is sent when the job or batch has ended",
    )

    @classmethod
    def read(cls, fields: dict[str, str], max_ttl_seconds: int) -> Self:
        """Return the options in a form. Blank fields are ignored.

        Raises:
            Problem: 422 OptionsInvalid. Its detail lists all invalid fields.
        """
        given = {name: text for name, text in fields.items() if text.strip()}
        return cls.check(given, max_ttl_seconds)

    @classmethod
    def check(cls, given: Mapping[str, object], max_ttl_seconds: int) -> Self:
        """Return the options with these values.

        Raises:
            Problem: 422 OptionsInvalid. Its detail lists all invalid options.
        """
        try:
            return cls.model_validate(given, context={"max_ttl_seconds": max_ttl_seconds})
        except ValidationError as error:
            invalid = invalid_fields(error)
            detail = f"The request has invalid options: {invalid}."
            raise Problem(422, Reason.OPTIONS_INVALID, detail) from error

    @field_validator("ttl_seconds")
    @classmethod
    def _require_at_most_maximum(cls, seconds: int | None, info: ValidationInfo) -> int | None:
        limits: dict[str, int] = info.context or {}
        maximum = limits["max_ttl_seconds"]
        if seconds is not None and seconds > maximum:
            raise PydanticKnownError("less_than_equal", {"le": maximum})

        return seconds

    @property
    def options(self) -> Options | None:
        """The ImageJob's `spec.options`; None if the client set no options."""
        chosen = self.model_dump(include=set(Options.model_fields), exclude_none=True)
        return Options(**chosen) if chosen else None


class SubmitOptions(DescribeOptions):
    """The options that `POST /submit` accepts as form fields or query parameters."""

    priority: int | None = Field(
        None,
        ge=LOWEST_PRIORITY,
        le=HIGHEST_PRIORITY,
        description="jobs with a higher priority are described first; the default is 0",
    )
    reuse: bool | None = Field(
        None,
        description="true: if the same image was described with the same options before, return "
        "that job instead of creating a new one",
    )

    @field_validator("reuse")
    @classmethod
    def _require_own_job(cls, reuse: bool | None, info: ValidationInfo) -> bool | None:  # noqa: FBT001 (a validator's)
        if reuse and info.data.get("callback_url"):
            raise PydanticCustomError(
                "no_callback_of_reused",
                "it can't be combined with callbackURL, because a reused job has its own",
            )
        return reuse


def option_names(options: type[DescribeOptions]) -> frozenset[str]:
    """Return the names of the form fields that hold options."""
    fields = options.model_fields
    return frozenset({*fields, *(field.alias for field in fields.values() if field.alias)})


def listed_names(options: type[DescribeOptions]) -> tuple[str, ...]:
    """Return the documented name of each option, in the order of the documentation."""
    return tuple(field.alias or name for name, field in options.model_fields.items())


OPTION_NAMES = option_names(SubmitOptions)
"""Names of the form fields that hold options of `POST /submit`."""
