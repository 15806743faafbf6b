"""The JSON body of POST /keys: what a new API key is to be."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from vision_node_contract.api_keys import DEFAULT_SCOPES, Owner
from vision_node_contract.models.reasons import Reason

from ..web.access import Scope
from ..web.problems import Problem, invalid_fields
from ..web.times import read_time

LONGEST = timedelta(days=3660)
"""How far in the future a key may expire: ten years. A later time is hardly meant."""

_DURATION = re.compile(r"([0-9]{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


def _distinct(scopes: list[Scope]) -> list[Scope]:
    return [*dict.fromkeys(scopes)]


class NewKey(BaseModel):
    """A key to create. Unknown members are refused, because they may be misspelled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Owner = Field(description="name for people; it need not be unique")
    owner: Owner | None = Field(
        None,
        description="who owns what is created with the key; the default is the name. Keys "
        "with the same owner see the same jobs",
    )
    scopes: Annotated[list[Scope], AfterValidator(_distinct)] = Field(
        [*DEFAULT_SCOPES], min_length=1, max_length=10
    )
    expires: str | None = Field(
        None,
        max_length=40,
        description="when the key stops working: a time of RFC 3339, or a number of hours, days or "
        "weeks, such as 12h, 30d or 8w; by default never",
    )

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        """Return the key in a JSON body.

        Raises:
            Problem: 422 OptionsInvalid.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            invalid = invalid_fields(error)
            raise _invalid(invalid) from error

    def expires_at(self, now: datetime) -> datetime | None:
        """Return when the key stops working; None if never.

        Raises:
            Problem: 422 OptionsInvalid.
        """
        if self.expires is None:
            return None

        duration = _DURATION.fullmatch(self.expires)
        if duration:
            hours = int(duration[1]) * _HOURS[duration[2]]
            expires: datetime | None = now + min(timedelta(hours=hours), 2 * LONGEST)
        else:
            expires = read_time(self.expires)

        if expires is None:
            example = "a duration such as 12h, 30d or 8w, or a time such as 2027-01-31T12:00:00Z"
            raise _invalid(f"expires: write {example}")

        if not now < expires <= now + LONGEST:
            raise _invalid(
                f"expires: it must be in the future, and at most {LONGEST.days} days from now"
            )

        return expires.replace(microsecond=0)


def _invalid(what: str) -> Problem:
    return Problem(422, Reason.OPTIONS_INVALID, f"The JSON body is invalid: {what}.")
