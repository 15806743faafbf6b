"""The report's account of how it was measured. Pure."""

from bench import stats
from bench.load import LONGEST_POLL_SECONDS
from bench.plan import BURST_CONNECTIONS, LIST_SECONDS, ONE_POLL_SECONDS, POLL_SECONDS
from bench.report.tables import number
from bench.results import DRIVER, Machine, Run

BUSY_CORES = 0.1
"""Of the systems' cores, used by other programs of the machine: more makes numbers unfit to quote."""

SYSTEMS = (
    "Both queues have two workers and the same describer code. vision-node's are two describer Jobs that "
    "hold up to four images each; Celery's are two processes with late acknowledgement and a prefetch of "
    "one. While one system is measured, the other idles on the same cores.",
    "Celery's side is as fast as that design is when it is well set up: images as files on the local disk, "
    "SQLite with a write-ahead log and its default durability, a Redis that never writes to disk, no TLS. "
    "Its API and workers run in containers on the base of vision-node's images, so on the same Python, with "
    "the machine's own network and disk and with no filter of system calls.",
    "vision-node writes every image to MinIO and every step to etcd; in its cluster, made as `make up` does, "
    "API server, etcd and MinIO collect garbage less often than by default. It is asked at the node's own "
    "address.",
    "One Job per image uses the workers' own pod and image; its Jobs read one object that is in MinIO "
    "already, and print the description. It has neither arrivals nor bursts: at its pace they would take "
    "minutes.",
)
LOADS = (
    f"One client polls every {1000 * ONE_POLL_SECONDS:.0f} ms, 8 and 32 clients every "
    f"{1000 * POLL_SECONDS:.0f} ms. Poisson arrivals are polled after {1000 * POLL_SECONDS:.0f} ms and then "
    f"ever less often, at last every {1000 * LONGEST_POLL_SECONDS:.0f} ms: a system that has fallen behind "
    "would otherwise be kept busy by the polls alone.",
    f"A burst is submitted over {BURST_CONNECTIONS} connections and watched through one list, every "
    f"{1000 * LIST_SECONDS:.0f} ms: of unfinished ImageJobs from the API server, of unfinished rows from the "
    "classic design's API.",
)


def describe(run: Run) -> str:
    """The section."""
    points = (_where(run.machine), _driver(run), _others(run), *SYSTEMS, *LOADS, _photographs(run))
    return "\n".join(["## How it was measured\n", *(f"- {point}" for point in points)])


def warning(run: Run) -> str:
    """What a reader has to know before the first number; empty when there is nothing."""
    if run.machine.quick:
        return "**A quick run, to look at: too few samples to quote.**"
    others = stats.spread(sample.others_cores for sample in run.samples)
    if others and others.median > BUSY_CORES:
        return "**The machine was busy with other programs meanwhile (see below): not numbers to quote.**"
    return ""


def _where(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    cores = "which both systems and the load driver share"
    if machine.driver_apart:
        cores = (
            f"both systems kept to the same {machine.system_cores}, the load driver to the others"
        )

    return (
        f"{machine.started}, {machine.processor}, {machine.cores} cores, {cores}. {versions}; this system at "
        f"{machine.commit or 'an unknown commit'}."
    )


def _driver(run: Run) -> str:
    most = max(
        (sample.cpu_seconds.get(DRIVER, 0.0) / sample.seconds for sample in run.samples),
        default=0.0,
    )
    return (
        f"The load driver is a process of its own; it never used more than {most:.0%} of one core."
    )


def _others(run: Run) -> str:
    found = stats.spread(sample.others_cores for sample in run.samples)
    return f"Other programs of the machine used {number(found)} of the systems' cores meanwhile."


def _photographs(run: Run) -> str:
    size = number(stats.spread(size / 1000 for size in run.picture_bytes))
    return f"The photographs: {len(run.picture_bytes)} of 1920 × 1080 pixels, {size} kB as JPEG."
