"""Fixture for the upload tests."""

import pytest


@pytest.fixture(
    params=[None, 1, 7], ids=lambda size: f"in pieces of {size}" if size else "in one piece"
)
def piece(request: pytest.FixtureRequest) -> int | None:
    """Size in bytes of the pieces in which a body arrives; None if it arrives in one piece.

    Parser bugs tend to show at the boundaries between pieces.
    """
    size: int | None = request.param
    return size
