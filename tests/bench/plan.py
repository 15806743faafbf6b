"""Sizes and durations of the measurements, for full runs and for quick runs of a few minutes."""

from dataclasses import dataclass

ONE, EIGHT, THIRTY_TWO = "1 client", "8 clients", "32 clients"
POISSON, BURST = "Poisson arrivals", "burst"
WAITING = "1 client that waits"
"""Load of vision-node alone: the response to a submission has the result (`Prefer: wait`)."""
BATCH, FROM_DISK, FROM_BUCKET = "batch", "files on disk", "objects in MinIO"
UPLOADED_FORM, UPLOADED_TAR = "batch uploaded as a form", "batch uploaded as a tar stream"
BESIDE_BATCH = "1 client beside a batch"
BATCH_LOADS = (BATCH, FROM_DISK, FROM_BUCKET)
"""Loads that describe images which are already stored, so that no client sends them."""
UPLOAD_LOADS = (UPLOADED_FORM, UPLOADED_TAR)
"""Loads that send all images of a batch in one request."""

WITH_HISTORY, WITHOUT_HISTORY = "with history", "without a database"

METADATA, NOTHING = "metadata", "nothing"

ONE_POLL_SECONDS = 0.005
"""Seconds between two polls of a single client."""

POLL_SECONDS = 0.020
"""Seconds between two polls of each client if several clients run."""

LIST_SECONDS = 0.050
"""Seconds between two polls of the list in a burst."""

CAPACITY_SHARE = 0.7
"""Rate of Poisson arrivals, as a fraction of the throughput with 32 clients."""

BURST_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of the measurements for `make bench`."""

    rounds: int
    images: dict[str, dict[str, int]]
    """Number of images by load and describer."""
    job_images: dict[str, int]
    """Number of images by load, for the system with one Job per image."""
    poisson_seconds: float
    cold_starts: int
    idle_seconds: float
    warm_up: int
    """Number of images that each system processes with each describer before the measurements."""
    batch_images: int
    """Number of photographs in a batch."""
    history_images: int
    """Number of images with and without the history."""


FULL = Plan(
    rounds=3,
    images={
        ONE: {METADATA: 25, NOTHING: 50},
        WAITING: {METADATA: 25, NOTHING: 50},
        EIGHT: {METADATA: 160, NOTHING: 320},
        THIRTY_TWO: {METADATA: 256, NOTHING: 512},
        BURST: {METADATA: 500, NOTHING: 500},
    },
    job_images={ONE: 2, EIGHT: 16},
    poisson_seconds=10,
    cold_starts=5,
    idle_seconds=60,
    warm_up=64,
    batch_images=2000,
    history_images=2000,
)

QUICK = Plan(
    rounds=1,
    images={
        ONE: {METADATA: 20, NOTHING: 30},
        WAITING: {METADATA: 20, NOTHING: 30},
        EIGHT: {METADATA: 64, NOTHING: 96},
        THIRTY_TWO: {METADATA: 64, NOTHING: 128},
        BURST: {METADATA: 100, NOTHING: 200},
    },
    job_images={ONE: 1, EIGHT: 8},
    poisson_seconds=4,
    cold_starts=1,
    idle_seconds=10,
    warm_up=32,
    batch_images=600,
    history_images=300,
)


@dataclass(frozen=True, slots=True)
class BacklogPlan:
    """Sizes of the measurements for `make bench-backlog`."""

    small: int
    """Number of ImageJobs in a small backlog."""
    repeats: int
    """Number of small backlogs to measure."""
    large: int
    """Number of ImageJobs in the large backlog."""
    list_pages: int
    """Number of list pages to request."""


FULL_BACKLOG = BacklogPlan(small=500, repeats=3, large=10_000, list_pages=200)
QUICK_BACKLOG = BacklogPlan(small=200, repeats=1, large=1_000, list_pages=50)
