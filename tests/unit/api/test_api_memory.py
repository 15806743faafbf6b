"""Test of the memory of the API's process at its limits."""

from bench.api.memory import FULL, UPLOADS, Scene, measure

MAX_MIB = 300
"""Maximum memory of the process. The rest of its container's 512 MiB is for network buffers, which
the kernel counts, too, and for fragmentation over time."""


async def test_full_caches_and_many_large_uploads_fit_into_memory() -> None:
    """The cache has more ImageJobs than a namespace may have (30,000)."""
    row = await measure(Scene(FULL, 20_000))
    assert row.accepted == UPLOADS
    assert row.upload_peak <= MAX_MIB, row
    assert row.list_peak - row.listed < 20, "listing takes much more memory than its result"
