"""Fixtures of the upload tests."""

import pytest


@pytest.fixture(params=[None, 1, 7], ids=lambda size: f"in pieces of {size}" if size else "at once")
def piece(request: pytest.FixtureRequest) -> int | None:
    """How many bytes arrive at a time: parsers break where pieces meet."""
    size: int | None = request.param
    return size
