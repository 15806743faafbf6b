"""Fixtures of the upload tests."""

import pytest


@pytest.fixture(
    params=[None, 1, 7], ids=lambda size: f"in pieces of {size}" if size else "in one piece"
)
def piece(request: pytest.FixtureRequest) -> int | None:
    """Number of bytes that arrive together; None for all.

    Parsers tend to fail at the borders of pieces.
    """
    size: int | None = request.param
    return size
