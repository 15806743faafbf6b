"""The report's section on how it was measured. Pure."""

from bench import stats
from bench.load import LONGEST_POLL_SECONDS
from bench.plan import BURST_CONNECTIONS, LIST_SECONDS, ONE_POLL_SECONDS, POLL_SECONDS
from bench.report.tables import number
from bench.results import DRIVER, Machine, Run

BUSY_CORES = 0.1
"""Maximum number of the systems' cores in use by other programs, for numbers that can be quoted."""

SYSTEMS = (
    "Both queues have two workers and the same describer code. vision-node's workers are two "
    "describer Jobs that process up to four images each; Celery's are two processes with late "
    "acknowledgment and a prefetch of one. While one system is measured, the other is idle on the "
    "same cores.",
    "The Celery side is as fast as a good setup of that design: images as files on the local disk, "
    "SQLite with a write-ahead log and its default durability, a Redis that never writes to disk, "
    "no TLS. Its API and workers run in containers on the base of vision-node's images, so with "
    "the same Python, but with the machine's own network and disk and without filtered system "
    "calls.",
    "vision-node writes every image to MinIO and every step to etcd. In its cluster, which is set "
    "up like that of `make up`, API server, etcd and MinIO collect garbage less often than by "
    "default. Clients use the node's own address.",
    "One Job per image uses the workers' own pod and image. Its Jobs read one object that is "
    "already in MinIO, and print the description. It is measured without arrivals and bursts, "
    "which would take minutes at its speed.",
)
LOADS = (
    f"One client polls every {1000 * ONE_POLL_SECONDS:.0f} ms, 8 and 32 clients every "
    f"{1000 * POLL_SECONDS:.0f} ms. Poisson arrivals are polled after {1000 * POLL_SECONDS:.0f} ms "
    f"and then less often, at intervals of up to {1000 * LONGEST_POLL_SECONDS:.0f} ms: otherwise "
    "the polls alone would keep a system busy that has fallen behind.",
    f"A burst is submitted over {BURST_CONNECTIONS} connections and watched through one list, "
    f"every {1000 * LIST_SECONDS:.0f} ms: unfinished ImageJobs from the API server, or unfinished "
    "rows from the classic design's API.",
)


def describe(run: Run) -> str:
    """Return the section."""
    points = (_where(run.machine), _driver(run), _others(run), *SYSTEMS, *LOADS, _photographs(run))
    return "\n".join(["## How it was measured\n", *(f"- {point}" for point in points)])


def warning(run: Run) -> str:
    """Return a warning for the top of the page; empty if there is none."""
    if run.machine.quick:
        return "**This was a quick run with too few samples to quote.**"
    others = stats.spread(sample.others_cores for sample in run.samples)
    if others and others.median > BUSY_CORES:
        return "**Other programs kept the machine busy (see below): do not quote these numbers.**"
    return ""


def _where(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    cores = "which both systems and the load driver share"
    if machine.driver_apart:
        cores = (
            f"both systems restricted to the same {machine.system_cores}, the load driver to the "
            "others"
        )

    return (
        f"{machine.started}, {machine.processor}, {machine.cores} cores, {cores}. {versions}; "
        f"vision-node at {machine.commit or 'an unknown commit'}."
    )


def _driver(run: Run) -> str:
    most = max(
        (sample.cpu_seconds.get(DRIVER, 0.0) / sample.seconds for sample in run.samples),
        default=0.0,
    )
    return f"The load driver is a separate process; it never used more than {most:.0%} of one core."


def _others(run: Run) -> str:
    found = stats.spread(sample.others_cores for sample in run.samples)
    cores = number(found)
    return (
        f"Other programs of the machine used {cores} of the systems' cores during the measurements."
    )


def _photographs(run: Run) -> str:
    size = number(stats.spread(size / 1000 for size in run.picture_bytes))
    return f"The photographs: {len(run.picture_bytes)} of 1920 × 1080 pixels, {size} kB as JPEG."
