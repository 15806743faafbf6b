"""The limits of what one owner may do, as the chart's values `limits.owner` and `limits.owners`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel


class OwnerLimits(BaseModel):
    """The limits of one owner. 0 means no limit. Unknown names come from a newer chart."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )

    requests_per_second: int = Field(50, ge=0)
    """Mean rate of requests to all replicas together. A page that shows a hundred thumbnails at
    once must not meet it, so twice as many may come at the same time."""

    unfinished_jobs: int = Field(5000, ge=0)
    """Maximum number of jobs that are queued or processing: a quarter of the release's."""

    bytes_per_day: int = Field(0, ge=0)
    """Maximum size of the images of a day in UTC. By default, there is no limit: how much is too
    much depends on the bucket, and the limit would also stop a large batch halfway."""

    provider_tokens_per_day: int = Field(0, ge=0)
    """Maximum number of tokens that providers charge in a day in UTC. By default, there is no
    limit, because providers have limits of their own, and most releases use none."""


UNLIMITED = OwnerLimits(requests_per_second=0, unfinished_jobs=0)
"""The limits of everything that belongs to no owner, as without authentication."""

_DOCUMENT = TypeAdapter(dict[str, Any])
_OWNERS = TypeAdapter(dict[str, dict[str, Any]])


@dataclass(frozen=True, slots=True)
class LimitsByOwner:
    """The limits of all owners."""

    default: OwnerLimits = field(default_factory=OwnerLimits)
    owners: Mapping[str, OwnerLimits] = field(default_factory=dict)
    """The limits of owners that differ from the default."""

    replicas: int = 1
    """Number of the API's replicas, among which requests are distributed."""

    def of(self, owner: str) -> OwnerLimits:
        """Return the limits of an owner; UNLIMITED for an empty one."""
        return self.owners.get(owner, self.default) if owner else UNLIMITED

    @classmethod
    def from_env(cls) -> Self:
        """Read OWNER_LIMITS, `{"default": {…}, "owners": {"<owner>": {…}}}`, and API_REPLICAS.

        Raises:
            ValueError: A limit is negative or no number.
        """
        document = _DOCUMENT.validate_json(os.environ.get("OWNER_LIMITS") or "{}")
        default = _OWNERS.validate_python({"": document.get("default") or {}})[""]
        owners = _OWNERS.validate_python(document.get("owners") or {})

        return cls(
            default=OwnerLimits.model_validate(default),
            owners={
                owner: OwnerLimits.model_validate({**default, **own})
                for owner, own in owners.items()
            },
            replicas=max(1, int(os.environ.get("API_REPLICAS") or "1")),
        )
