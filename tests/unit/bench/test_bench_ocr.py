"""Tests of the tables that `make bench-ocr` writes: totals of all fonts, and targets."""

import pytest
from bench.measure.ocr_measure import Measured
from bench.ocr import figures
from printed import CONDITIONS, FONTS


def measured(*, read: int = 100, seconds: float = 0.3, megabytes: int = 450) -> Measured:
    words = {condition: dict.fromkeys(FONTS, (read, 100)) for condition in CONDITIONS}
    return Measured(2.0, 300_000_000, [seconds] * 20, words, megabytes * 1_000_000)


@pytest.mark.parametrize(
    ("found", "row"),
    [
        (measured(), "| target | ✓ ≥ 99 | ✓ ≥ 90 | ✓ ≥ 90 | ✓ ≥ 90 |"),
        (measured(read=98), "| target | ✗ ≥ 99 | ✓ ≥ 90 | ✓ ≥ 90 | ✓ ≥ 90 |"),
        (measured(read=89), "| **all** | 89.0 | 89.0 | 89.0 | 89.0 |"),
        (measured(read=89), "| target | ✗ ≥ 99 | ✗ ≥ 90 | ✗ ≥ 90 | ✗ ≥ 90 |"),
        (measured(seconds=1.2), "| seconds, p95 | 1.2 | ✗ ≤ 1 |"),
        (measured(megabytes=601), "| peak memory, MB | 601 | ✗ ≤ 600 |"),
    ],
)
def test_tables_show_totals_and_whether_targets_are_reached(found: Measured, row: str) -> None:
    lines = figures(found, found).splitlines()
    assert row in lines
    assert f"Percentage of the {100 * len(FONTS)} words" in lines[0]
