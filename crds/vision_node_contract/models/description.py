"""Typed models of descriptions and results, which have the same format for all describers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SkipValidation

from ..names import SIGNATURE

MAX_ALT_CHARACTERS = 150
"""Maximum length of an alt text, as in the CRD."""

SUMMARY_CHARACTERS = 256
"""Maximum length of a summary, as in the CRD. kubectl shows the summary on one line."""

MAX_WARNING_CHARACTERS = 512
"""Maximum length of one warning, as in the CRD."""


class FrozenModel(BaseModel):
    """A frozen model that ignores unknown fields, because later versions may add fields."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class Options(FrozenModel):
    """Requested properties of a description (ImageJob `spec.options`)."""

    prompt: str | None = None
    language: str | None = None
    detail: str | None = None
    max_length: int | None = Field(default=None, alias="maxLength")
    fallback: Literal["never"] | None = None
    text: bool | None = None
    """Whether to read the text in the image. If None, `local` reads it where text is likely. Other
    describers ignore this option."""


class Usage(FrozenModel):
    """Token counts reported by the provider."""

    input_tokens: int = Field(alias="inputTokens")
    output_tokens: int = Field(alias="outputTokens")


class Fallback(FrozenModel):
    """The describer that failed before the fallback described the image, and why it failed."""

    from_: str = Field(alias="from")
    reason: str


class Description(FrozenModel):
    """A describer's description of one image.

    `description` starts with `Image Description:`, `alt` has at most 150 characters, and `facts`
    contains the JSON values that the text is based on. The limits are the same as in the CRD.
    """

    description: str
    alt: str = Field(max_length=MAX_ALT_CHARACTERS)
    caption: str
    tags: list[Annotated[str, Field(max_length=256)]] = Field(default_factory=list, max_length=256)
    text: str = ""
    language: str = Field(default="en", max_length=35)
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    model: str | None = Field(default=None, max_length=256)
    fallback: Fallback | None = None
    usage: Usage | None = None
    warnings: list[Annotated[str, Field(max_length=MAX_WARNING_CHARACTERS)]] = Field(
        default_factory=list, max_length=8
    )
    """Warnings for the reader of the description, for example, that the file is cut off."""


class Result(Description):
    """A description together with information about how it was made."""

    describer: str
    seconds: float
    facts: dict[str, SkipValidation[JsonValue]] = Field(default_factory=dict)
    """The same as the description's. They were checked there, or come from JSON text; checking each
    value again would take half of the time in which an ImageJob is read."""
    generated_by: str = Field(default=SIGNATURE, alias="_generated_by")

    def to_json(self) -> dict[str, Any]:
        """Return the result as the JSON object that is stored and that `/result` returns."""
        return self.model_dump(mode="json", by_alias=True)


def summarize(description: str) -> str:
    """Shorten a description to one line of up to 256 characters, which kubectl can show."""
    line = " ".join(description.split())
    if len(line) <= SUMMARY_CHARACTERS:
        return line
    return line[: SUMMARY_CHARACTERS - 1] + "…"
