"""Validate the options with which an ImageBatch is created."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from vision_node_contract.models.imagebatch import ImageBatchSpec, UploadSpec
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem, invalid_fields
from .submit_options import DescribeOptions, option_names

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
"""Pattern of the names of ImageBatches, which are DNS subdomains."""


class BatchOptions(DescribeOptions):
    """The options that `POST /batches` accepts as form fields or query parameters."""

    own: ClassVar[frozenset[str]] = frozenset(
        {
            *("priority", "parallelism", "max_attempts", "timeout_seconds"),
            *("max_failed_images", "max_tokens", "suspend"),
        }
    )
    """Names of the fields that an ImageBatch's spec has under the same name."""

    name: str | None = Field(
        None, pattern=NAME_PATTERN, description="name of the batch; by default, it is chosen"
    )
    priority: int | None = Field(
        None, ge=-1000, le=1000, description="batches with a higher priority are described first"
    )
    parallelism: int | None = Field(
        None, ge=1, le=1000, description="maximum number of workers at the same time"
    )
    max_attempts: int | None = Field(
        None, alias="maxAttempts", ge=1, le=10, description="maximum number of attempts per image"
    )
    timeout_seconds: int | None = Field(
        None, alias="timeoutSeconds", ge=1, le=3600, description="maximum duration of an attempt"
    )
    max_failed_images: int | None = Field(
        None,
        alias="maxFailedImages",
        ge=0,
        le=2**31 - 1,
        description="the batch fails if more images fail",
    )
    max_tokens: int | None = Field(
        None,
        alias="maxTokens",
        ge=1,
        le=2**63 - 1,
        description="number of tokens after which the batch fails",
    )
    suspend: bool | None = Field(None, description="create the batch suspended")

    def spec(self, describer: str, **source: Any) -> ImageBatchSpec:
        """Return the spec of an ImageBatch with these options.

        Args:
            describer: Name of the Describer.
            source: The field of the spec that says where the images are.
        """
        own = self.model_dump(include=set(self.own), exclude_none=True)
        return ImageBatchSpec(
            describer=describer,
            options=self.options,
            ttl_seconds_after_finished=self.ttl_seconds,
            callback_url=self.callback_url,
            **own,
            **source,
        )


BATCH_OPTION_NAMES = option_names(BatchOptions)
"""Names of the form fields that hold options of `POST /batches`."""


class _Document(BaseModel):
    """A part of a JSON body. Unknown members are refused, because they may be misspelled."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class NoUpload(_Document):
    """The empty object with which a client says that it will upload images one by one."""


class DescriptionOptions(_Document):
    """How to describe the images, as in an ImageBatch's `spec.options`."""

    prompt: str | None = None
    language: str | None = None
    detail: Literal["low", "high", "auto"] | None = None
    max_length: int | None = None
    fallback: Literal["never"] | None = None
    text: bool | None = None


class BatchDocument(_Document):
    """JSON body of `POST /batches`, with the names of an ImageBatch's spec.

    Exactly one of `prefix`, `manifest` and `upload` is given.
    """

    prefix: str | None = Field(None, description="folder in the inbox, such as inbox/holiday/")
    manifest: str | None = Field(None, description="key of a list of images in the inbox")
    upload: NoUpload | None = Field(
        None, description="{}: images will be uploaded with PUT /batches/{name}/images/{customId}"
    )
    name: str | None = None
    describer: str | None = None
    options: DescriptionOptions | None = None
    priority: int | None = None
    parallelism: int | None = None
    max_attempts: int | None = None
    timeout_seconds: int | None = None
    max_failed_images: int | None = None
    max_tokens: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool | None = None
    callback_url: str | None = Field(
        None, alias="callbackURL", description="https URL to which a message about the end is sent"
    )
    labels: str | dict[str, str] | None = Field(
        None, description="labels of the ImageBatch, as text (team=web,tier=gold) or as an object"
    )

    @classmethod
    def read(cls, body: bytes) -> "BatchDocument":
        """Return the document in a body.

        Raises:
            Problem: 422 OptionsInvalid.
        """
        try:
            found = cls.model_validate_json(body)
        except ValidationError as error:
            invalid = invalid_fields(error, "body")
            raise _invalid(f"The JSON body is invalid: {invalid}.") from error

        if sum(it is not None for it in (found.prefix, found.manifest, found.upload)) != 1:
            raise _invalid(
                "Set exactly one of prefix (a folder in the inbox), manifest (a list of images in "
                "the inbox) and upload ({}: images that follow)."
            )
        return found

    def batch_options(self, query: Mapping[str, str], max_ttl_seconds: int) -> BatchOptions:
        """Return the options in the query and in the document, which has precedence.

        Raises:
            Problem: 422 OptionsInvalid.
        """
        given = self.model_dump(by_alias=True, exclude_none=True)
        for source in ("prefix", "manifest", "upload"):
            given.pop(source, None)
        if "ttlSecondsAfterFinished" in given:
            given["ttlSeconds"] = given.pop("ttlSecondsAfterFinished")

        return BatchOptions.check({**query, **given.pop("options", {}), **given}, max_ttl_seconds)

    @property
    def source(self) -> dict[str, Any]:
        """The field of the spec that says where the images are."""
        if self.upload is not None:
            return {"upload": UploadSpec()}
        return {"prefix": self.prefix} if self.prefix is not None else {"manifest": self.manifest}


def _invalid(detail: str) -> Problem:
    return Problem(422, Reason.OPTIONS_INVALID, detail)
