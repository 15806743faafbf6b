"""Describe JSON that is passed on as it was stored."""

from dataclasses import dataclass

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class SchemaOf:
    """Gives a dictionary the schema of a model in OpenAPI, as in `Annotated[dict, SchemaOf(M)]`.

    The dictionary is neither checked nor changed, because a later version may have added fields.
    """

    model: type[BaseModel]

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of the model, by whose aliases the dictionary has its fields."""
        return handler(self.model.__pydantic_core_schema__)
