"""What a describer answers and what a result holds: the same shape for all describers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..names import SIGNATURE

MAX_ALT_CHARACTERS = 150
SUMMARY_CHARACTERS = 256
MAX_WARNING_CHARACTERS = 512


class Model(BaseModel):
    """Frozen, and forgiving about fields that a later version may add."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class Options(Model):
    """Wishes for a description (ImageJob `spec.options`)."""

    prompt: str | None = None
    language: str | None = None
    detail: str | None = None
    max_length: int | None = Field(default=None, alias="maxLength")
    fallback: Literal["never"] | None = None


class Usage(Model):
    """Tokens, as the provider reports them."""

    input_tokens: int = Field(alias="inputTokens")
    output_tokens: int = Field(alias="outputTokens")


class Fallback(Model):
    """Another describer stood in."""

    from_: str = Field(alias="from")
    reason: str


class Description(Model):
    """A describer's answer for one image.

    `description` starts with `Image Description:`; `alt` has at most 150 characters; `facts` are
    the plain JSON values behind the text. The bounds are the CRD's.
    """

    description: str
    alt: str = Field(max_length=MAX_ALT_CHARACTERS)
    caption: str
    tags: list[Annotated[str, Field(max_length=256)]] = Field(default=[], max_length=256)
    text: str = ""
    language: str = Field(default="en", max_length=35)
    facts: dict[str, JsonValue] = {}
    model: str | None = Field(default=None, max_length=256)
    fallback: Fallback | None = None
    usage: Usage | None = None
    warnings: list[Annotated[str, Field(max_length=MAX_WARNING_CHARACTERS)]] = Field(
        default=[], max_length=8
    )
    """What a reader of the description should know, such as that the file ends too early."""


class Result(Description):
    """A stored result: the description and where it came from."""

    describer: str
    seconds: float
    generated_by: str = Field(default=SIGNATURE, alias="_generated_by")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `/result` shows, and that is stored when it is large."""
        return self.model_dump(mode="json", by_alias=True)


def summarize(description: str) -> str:
    """Return the first 256 characters on one line, for `kubectl get imagejobs -o wide`."""
    line = " ".join(description.split())
    if len(line) <= SUMMARY_CHARACTERS:
        return line
    return line[: SUMMARY_CHARACTERS - 1] + "…"
