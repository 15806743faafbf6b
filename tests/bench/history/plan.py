"""Size of `make bench-history`, from its variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bench.history.invented import PIECE_ROWS
from bench.variables import whole_number

USUAL_ROWS = 1_000_000
"""Number of rows for which the targets are."""


@dataclass(frozen=True, slots=True)
class HistoryPlan:
    """Sizes of the measurements."""

    rows: int = USUAL_ROWS
    requests: int = 40
    """Number of requests of each kind."""
    written: int = 20_000
    """Number of rows that are written through the archiver's code, for each way."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read QUICK and ROWS.

        Raises:
            BenchError: ROWS is not a number, or is too small for a batch to be among them.
        """
        quick = env.get("QUICK") == "1"
        default = cls(rows=100_000, requests=20, written=4_000) if quick else cls()
        rows = whole_number(env, "ROWS", default.rows, least=4 * PIECE_ROWS)
        return cls(rows, default.requests, default.written)

    @property
    def is_quick(self) -> bool:
        """Whether there are too few rows to compare the results with the targets."""
        return self.rows < USUAL_ROWS
