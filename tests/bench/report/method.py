"""Write the report's section about the method, and warn about unreliable numbers."""

from bench import stats
from bench.load import LONGEST_POLL_SECONDS
from bench.plan import BURST_CONNECTIONS, LIST_SECONDS, ONE_POLL_SECONDS, POLL_SECONDS
from bench.report.tables import number
from bench.results import DRIVER, Machine, Run

BUSY_CORES = 0.1
"""If other programs use more of the systems' cores than this, the report contains a warning."""

SYSTEMS = (
    "Both queues have two workers and the same describer code. vision-node's workers are two "
    "describer Jobs that process up to four images each; Celery's are two processes with late "
    "acknowledgment and a prefetch count of one. While one system is measured, the other one is "
    "idle on the same cores.",
    "The Celery system is an efficient setup of that design. Images are files on the local disk. "
    "SQLite uses a write-ahead log and its default durability. Redis never writes to disk, and TLS "
    "is not used. The API and the workers run in containers with the same base and the same Python "
    "as vision-node's images. To avoid overhead, the containers use the machine's network and "
    "disk, and their system calls are not filtered.",
    "vision-node writes every image to MinIO and every step to etcd. Its cluster is set up like "
    "that of `make up`, so the API server, etcd and MinIO collect garbage less often than by "
    "default. Clients use the node's own address.",
    "The system with one Job per image uses the same pod spec and container image as the workers. "
    "Its Jobs read an image that is already in MinIO, and print the description. This system is "
    "not measured with Poisson arrivals and bursts, because they would take minutes.",
)
LOADS = (
    f"A single client polls every {1000 * ONE_POLL_SECONDS:.0f} ms. One that waits does not poll "
    "vision-node, but submits with `Prefer: wait`, and its clock stops when the response has the "
    "result. It is compared with the client that polls Celery. With 8 and 32 clients, each "
    f"one polls every {1000 * POLL_SECONDS:.0f} ms. With Poisson arrivals, the polling interval of "
    f"a job grows from {1000 * POLL_SECONDS:.0f} ms to {1000 * LONGEST_POLL_SECONDS:.0f} ms. "
    "Otherwise, a system that has fallen behind would be kept busy by the polls alone.",
    f"A burst is submitted over {BURST_CONNECTIONS} connections. Then a client polls one list "
    f"every {1000 * LIST_SECONDS:.0f} ms until it is empty: the list of unfinished ImageJobs from "
    "the Kubernetes API server, or the count of unfinished jobs from the Celery system's API.",
    "Batches describe the same photographs as all other loads, each stored many times: as objects "
    "in MinIO, and as files on the Celery system's disk. vision-node's clock runs from the "
    "creation of the ImageBatch, so it includes listing the objects, until a client that polls "
    f"the ImageBatch every {1000 * LIST_SECONDS:.0f} ms sees that it is complete. Celery's clock "
    "runs from the first task, which the load driver puts into Redis, until a client that counts "
    f"the rows in SQLite every {1000 * LIST_SECONDS:.0f} ms has seen all results. Each of these "
    "tasks makes only one commit, that of its result, and those that read from MinIO use MinIO's "
    "own client for Python. Writes per image of a batch are those of ImageJobs and ImageBatches, "
    "deletions included.",
    "Uploads send the same photographs in one request over one connection, each with its own name. "
    "The load driver has them in memory, and puts the form or the tar stream together while it "
    "sends it. As for other batches, a client polls the ImageBatch every "
    f"{1000 * LIST_SECONDS:.0f} ms. Costs include the deletion of the shards, but not that of the "
    "uploaded objects. Celery's clients of the same round submit fewer photographs, over a "
    "connection each; the rates are compared.",
)


def describe(run: Run) -> str:
    """Return the section about the method of measurement."""
    points = (_where(run.machine), _driver(run), _others(run), *SYSTEMS, *LOADS, _photographs(run))
    return "\n".join(["## How it was measured\n", *(f"- {point}" for point in points)])


def warning(run: Run) -> str:
    """Return a warning for the top of the page, or an empty string if none is necessary."""
    if run.machine.quick:
        return "**Do not quote these numbers: this was a quick run with few samples.**"
    others = stats.spread(sample.others_cores for sample in run.samples)
    if others and others.median > BUSY_CORES:
        return "**Do not quote these numbers: other programs kept the machine busy (see below).**"
    return ""


def _where(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    cores = "All systems and the load driver shared these cores"
    if machine.driver_apart:
        cores = (
            f"All systems were restricted to the same {machine.system_cores} cores, and the load "
            "driver to the others"
        )

    return (
        f"The run started at {machine.started} on a machine with {machine.cores} cores "
        f"({machine.processor}). {cores}. Versions: {versions}; "
        f"vision-node at {machine.commit or 'an unknown commit'}."
    )


def _driver(run: Run) -> str:
    most = max(
        (sample.cpu_seconds.get(DRIVER, 0.0) / sample.seconds for sample in run.samples),
        default=0.0,
    )
    return f"The load driver is a separate process. It never used more than {most:.0%} of one core."


def _others(run: Run) -> str:
    found = stats.spread(sample.others_cores for sample in run.samples)
    cores = number(found)
    return f"During the measurements, other programs used {cores} of the systems' cores."


def _photographs(run: Run) -> str:
    size = number(stats.spread(size / 1000 for size in run.picture_bytes))
    return (
        f"The images are {len(run.picture_bytes)} JPEG photographs, 1920 × 1080 pixels, {size} kB."
    )
