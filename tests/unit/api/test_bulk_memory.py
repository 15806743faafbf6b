"""Test of the memory of the API's process during several uploads of many images."""

import pytest
from bench.api.bulk_memory import UPLOADS, measure

MAX_MIB = 190
"""Maximum memory of the process: 200 MB. It does not depend on the size of the uploads."""


@pytest.mark.parametrize("image_bytes", [3_000_000, 20_000_000])
async def test_uploads_of_many_images_take_little_memory(image_bytes: int) -> None:
    row = await measure(megabytes=150, image_bytes=image_bytes)
    assert row.images == [150_000_000 // image_bytes] * UPLOADS
    assert row.peak <= MAX_MIB, row
