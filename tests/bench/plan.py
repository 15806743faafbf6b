"""Sizes and durations of the measurements: a quick run of a few minutes, or a full run."""

from dataclasses import dataclass

ONE, EIGHT, THIRTY_TWO = "1 client", "8 clients", "32 clients"
POISSON, BURST = "Poisson arrivals", "burst"

METADATA, NOTHING = "metadata", "nothing"

ONE_POLL_SECONDS = 0.005
POLL_SECONDS = 0.020
LIST_SECONDS = 0.050
"""Seconds between two reads of the list in a burst."""

CAPACITY_SHARE = 0.7
"""Poisson arrivals per second, as a share of the throughput with 32 clients."""

BURST_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers of images and durations in seconds."""

    rounds: int
    images: dict[str, dict[str, int]]
    """Numbers of images by load and describer."""
    job_images: dict[str, int]
    """Numbers of images for one Job per image, by load."""
    poisson_seconds: float
    cold_starts: int
    idle_seconds: float
    warm_up: int


FULL = Plan(
    rounds=3,
    images={
        ONE: {METADATA: 25, NOTHING: 50},
        EIGHT: {METADATA: 160, NOTHING: 320},
        THIRTY_TWO: {METADATA: 256, NOTHING: 512},
        BURST: {METADATA: 500, NOTHING: 500},
    },
    job_images={ONE: 2, EIGHT: 16},
    poisson_seconds=10,
    cold_starts=5,
    idle_seconds=60,
    warm_up=64,
)

QUICK = Plan(
    rounds=1,
    images={
        ONE: {METADATA: 20, NOTHING: 30},
        EIGHT: {METADATA: 64, NOTHING: 96},
        THIRTY_TWO: {METADATA: 64, NOTHING: 128},
        BURST: {METADATA: 100, NOTHING: 200},
    },
    job_images={ONE: 1, EIGHT: 8},
    poisson_seconds=4,
    cold_starts=1,
    idle_seconds=10,
    warm_up=32,
)


@dataclass(frozen=True, slots=True)
class BacklogPlan:
    """Counts of ImageJobs."""

    small: int
    repeats: int
    """Number of small backlogs to measure."""
    large: int
    list_pages: int
    """Number of pages of the list to request."""


FULL_BACKLOG = BacklogPlan(small=500, repeats=3, large=10_000, list_pages=200)
QUICK_BACKLOG = BacklogPlan(small=200, repeats=1, large=1_000, list_pages=50)
