"""Rows of the table usage, as the API reads them."""

from dataclasses import dataclass
from datetime import date

from vision_node_contract.history.usage import UsageCounts


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which rows to read."""

    after: date
    """The first day."""
    before: date
    """The day after the last one."""
    owner: str | None
    """The owner; None for all together."""
    limit: int
    """Maximum number of rows."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What was used on a day with a describer."""

    day: date
    """The day in UTC."""
    describer: str
    images: int
    failed: int
    bytes: int
    input_tokens: int
    output_tokens: int

    @property
    def sums(self) -> UsageCounts:
        """The numbers."""
        return UsageCounts(
            self.images, self.failed, self.bytes, self.input_tokens, self.output_tokens
        )

    @classmethod
    def of(cls, day: date, describer: str, sums: UsageCounts) -> "UsageRow":
        """Return the row for sums over images."""
        return cls(
            day,
            describer,
            *(sums.images, sums.failed, sums.bytes, sums.input_tokens, sums.output_tokens),
        )


OF_OWNER = """
    SELECT day, describer, images, failed, bytes, input_tokens, output_tokens
    FROM usage
    WHERE usage.owner = %(owner)s AND day >= %(after)s AND day < %(before)s
    ORDER BY day DESC, describer
    LIMIT %(limit)s
"""

# All rows of these days are read. There are as many as owners with images on these days.
OF_ALL = """
    SELECT day, describer, sum(images)::bigint AS images, sum(failed)::bigint AS failed,
        sum(bytes)::bigint AS bytes, sum(input_tokens)::bigint AS input_tokens,
        sum(output_tokens)::bigint AS output_tokens
    FROM usage
    WHERE day >= %(after)s AND day < %(before)s
    GROUP BY day, describer
    ORDER BY day DESC, describer
    LIMIT %(limit)s
"""
