"""Count what the images of new rows have used, in the transaction that writes the rows.

A row of `images` is written once and never changes, so each image is counted once, whatever is
offered again after a crash or a restore. A restored database has lost rows and numbers alike.
"""

from datetime import UTC, date, datetime

from psycopg import AsyncConnection
from vision_node_contract.history.records import ImageRow
from vision_node_contract.history.usage import COUNTS, UsageCounts

MAX_NAME_CHARACTERS = 253
"""Maximum length of the name of a describer, as in Kubernetes. A batch's results name theirs, and
may contain anything, but a key of an index must fit into a page."""

_ADD = """
INSERT INTO usage (day, owner, describer, images, failed, bytes, input_tokens, output_tokens)
SELECT * FROM unnest(
    %b::date[], %b::text[], %b::text[],
    %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[])
ON CONFLICT (day, owner, describer) DO UPDATE SET
    images = usage.images + excluded.images,
    failed = usage.failed + excluded.failed,
    bytes = usage.bytes + excluded.bytes,
    input_tokens = usage.input_tokens + excluded.input_tokens,
    output_tokens = usage.output_tokens + excluded.output_tokens
"""


class UsageSums:
    """The sums of the new rows of one transaction, by day, owner and describer."""

    def __init__(self) -> None:
        self._sums: dict[tuple[date, str, str], UsageCounts] = {}

    def add(self, image: ImageRow, ended: datetime) -> None:
        """Count an image that has a new row, on the day in UTC on which it has ended."""
        key = (ended.astimezone(UTC).date(), image.owner, image.describer)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = UsageCounts()

        sums.images += 1
        sums.failed += image.phase == "failed"
        sums.bytes += image.size_bytes
        sums.input_tokens += image.input_tokens
        sums.output_tokens += image.output_tokens

    async def save(self, connection: AsyncConnection) -> None:
        """Add the sums to the table.

        They are sorted, so that two transactions lock the rows in the same order.
        """
        clean = self._clean()
        if not clean:
            return

        keys = sorted(clean)
        columns = [[getattr(clean[key], name) for key in keys] for name in COUNTS]
        names = [list(it) for it in zip(*keys, strict=True)]
        await connection.execute(_ADD, [*names, *columns])

    def _clean(self) -> dict[tuple[date, str, str], UsageCounts]:
        """Return the sums by names that PostgreSQL accepts. Different ones may become the same."""
        found: dict[tuple[date, str, str], UsageCounts] = {}
        for (day, owner, describer), sums in self._sums.items():
            key = (day, _name(owner), _name(describer))
            found.setdefault(key, UsageCounts()).add(sums)

        return found


def _name(text: str) -> str:
    """Return a name without what PostgreSQL's text can't hold, and without its end if too long."""
    plain = text[:MAX_NAME_CHARACTERS].replace("\0", "\ufffd")
    return plain.encode("utf-8", "replace").decode()
