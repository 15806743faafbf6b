"""What a describer answers and what a result holds: the same shape for all describers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from .names import SIGNATURE

MAX_ALT_CHARACTERS = 150
SUMMARY_CHARACTERS = 256


class Model(BaseModel):
    """Frozen, and forgiving about fields that a later version may add."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class Options(Model):
    """Wishes for a description (ImageJob `spec.options`)."""

    prompt: str | None = None
    language: str | None = None
    detail: str | None = None
    max_length: int | None = Field(default=None, alias="maxLength")


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

    `description` starts with `Image Description:`; `alt` has at most 150 characters; `facts` are the
    plain JSON values behind the text.
    """

    description: str
    alt: str
    caption: str
    tags: list[str] = []
    text: str = ""
    language: str = "en"
    facts: dict[str, JsonValue] = {}
    model: str | None = None
    fallback: Fallback | None = None
    usage: Usage | None = None


class Result(Description):
    """A stored result: the description and where it came from."""

    describer: str
    seconds: float
    generated_by: str = Field(default=SIGNATURE, alias="_generated_by")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that is stored and that `/result` shows."""
        return self.model_dump(mode="json", by_alias=True)


def summarize(description: str) -> str:
    """Return the first 256 characters on one line, for `kubectl get imagejobs -o wide`."""
    line = " ".join(description.split())
    if len(line) <= SUMMARY_CHARACTERS:
        return line
    return line[: SUMMARY_CHARACTERS - 1] + "…"
