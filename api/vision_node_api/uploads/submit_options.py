"""The form fields beside the image: who is to describe it, and how."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem

# The bounds are those of the CRD, which refuses as well, but in its own words.
_Text = Annotated[str, Field(min_length=1)]


class Wishes(BaseModel):
    """As `POST /submit` takes them, each in a form field.

    Priority, attempts and timeout are for those whom the cluster knows: the API knows nobody.
    """

    model_config = ConfigDict(populate_by_name=True)

    describer: _Text | None = Field(
        None, description="which of GET /describers; without it, the default"
    )
    prompt: _Text | None = Field(
        None, max_length=4000, description="what to look for or how to put it"
    )
    language: str | None = Field(
        None,
        max_length=35,
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        description="BCP 47 tag of the language to answer in, e.g. en or pt-BR",
    )
    detail: Literal["low", "high", "auto"] | None = Field(None, description="how closely to look")
    max_length: int | None = Field(
        None,
        alias="maxLength",
        ge=1,
        le=20_000,
        description="longest description wanted, in characters",
    )
    fallback: Literal["never"] | None = Field(
        None, description="never: fail rather than let another describer stand in"
    )

    @classmethod
    def read(cls, fields: dict[str, str]) -> "Wishes":
        """Return what the form says; a blank field says nothing.

        Raises:
            Problem: 422 OptionsInvalid, with each field that is wrong.
        """
        try:
            return cls.model_validate({name: text for name, text in fields.items() if text.strip()})
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise Problem(422, Reason.OPTIONS_INVALID, f"form fields: {wrong}") from error

    @property
    def options(self) -> Options | None:
        """What the ImageJob says of it; None if nothing was wished for."""
        told = self.model_dump(exclude={"describer"}, exclude_none=True)
        return Options(**told) if told else None


def form_schema() -> dict[str, Any]:
    """Return OpenAPI's schema of the whole form."""
    image = image_form_schema()
    return {**image, "properties": {**image["properties"], **_option_schemas()}}


def image_form_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of a form with only an image."""
    told = "the image file; any other field that holds an image is accepted, too, and base64 text of one"
    image = {"type": "string", "format": "binary", "description": told}
    return {"type": "object", "required": ["file"], "properties": {"file": image}}


def submit_schema() -> dict[str, Any]:
    """Return what OpenAPI should say of `POST /submit`: its body, and the options as query parameters."""
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _option_schemas().items()
    ]
    return {**body_schema(form_schema()), "parameters": parameters}


def body_schema(form: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of an upload's body: `form`, or the image alone."""
    raw = {"schema": {"type": "string", "format": "binary", "description": "the image alone"}}
    content = {
        "multipart/form-data": {"schema": form},
        "image/*": raw,
        "application/octet-stream": raw,
    }
    return {"requestBody": {"required": True, "content": content}}


def _option_schemas() -> dict[str, dict[str, Any]]:
    properties = Wishes.model_json_schema()["properties"]
    return {name: _without_null(said) for name, said in properties.items()}


def _without_null(said: dict[str, Any]) -> dict[str, Any]:
    """A form field is there or not; it is never null."""
    kept = {
        name: value for name, value in said.items() if name not in {"anyOf", "default", "title"}
    }
    return {**next(kind for kind in said["anyOf"] if kind != {"type": "null"}), **kept}
