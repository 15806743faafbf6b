"""Results of `make bench-history`. They are saved as a JSON file."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

State = Literal["warm", "after a restart"]
"""After a restart, nothing is in the server's memory, or in the kernel's cache of its files."""

SEARCH, LIST, NAME = "search", "list", "name"


@dataclass
class Timing:
    """How long requests of one kind took."""

    kind: str
    title: str
    of_owner: bool
    """Whether only one owner's images were asked for."""
    page: int
    """Number of the page, from 1."""
    state: State
    seconds: list[float] = field(default_factory=list)
    found: int = 0
    """Number of rows that all requests returned together."""


@dataclass
class WriteCost:
    """What it cost to write rows through the archiver's code."""

    title: str
    rows: int
    server_seconds: float
    """CPU time of all processes of PostgreSQL, with a checkpoint at the end."""
    writer_seconds: float
    """CPU time of the process that made the rows and sent them."""
    seconds: float


@dataclass
class HistoryBench:
    """Results of `make bench-history`."""

    processor: str
    cores: int
    started: str
    commit: str
    postgres: str
    """Version of PostgreSQL."""
    rows: int
    fill_seconds: float = 0.0
    others_cores: list[float] = field(default_factory=list)
    """Number of cores that other programs used before the searches, and around the writing."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes by part of a table."""
    timings: list[Timing] = field(default_factory=list)
    costs: list[WriteCost] = field(default_factory=list)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """Return the results from JSON that save() wrote."""
        timings = [Timing(**it) for it in data.pop("timings")]
        costs = [WriteCost(**it) for it in data.pop("costs")]
        return cls(timings=timings, costs=costs, **data)


def save(found: HistoryBench, file: Path) -> None:
    """Write the results to a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dataclasses.asdict(found)) + "\n")
