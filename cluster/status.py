"""Show the cluster's workloads, its jobs by phase, and the newest jobs."""

import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from cluster.errors import ClusterError
from cluster.release import NAMESPACE

# Maximum number of rows in each list of pods and jobs.
SHOWN = 20

# Number of jobs per page, as in kubectl. A page takes the API server about 10 ms.
PAGE_SIZE = 500
# Maximum number of pages to read, which is enough for 20,000 jobs. With this limit, counting the
# jobs in a full cluster takes seconds rather than minutes.
MAX_PAGES = 40

JOBS = f"/apis/vision-node.dev/v1alpha1/namespaces/{NAMESPACE}/imagejobs"
REQUEST_TIMEOUT = "--request-timeout=30s"

# The phases in the order in which a job goes through them.
PHASES = ("queued", "processing", "done", "failed")
# The phase of a job without a status, as in the CRD.
FIRST_PHASE = "queued"


class Kubectl(Protocol):
    """Runs kubectl."""

    def kubectl_output(self, *arguments: str) -> str:
        """Return kubectl's output. Raises ClusterError if it fails."""


@dataclass(frozen=True, order=True)
class Job:
    """The fields of an ImageJob that are shown. Jobs are ordered by their creation time."""

    created: str
    """Creation time from the API server (RFC 3339, UTC). Sorting the text sorts by time."""
    name: str
    phase: str = field(compare=False)


@dataclass(frozen=True)
class Page:
    """A page of the list of ImageJobs."""

    jobs: tuple[Job, ...]
    token: str
    """The continue token for the next page; "" on the last page."""
    left: int
    """The API server's estimate of the number of jobs on the following pages."""


@dataclass
class Tally:
    """The number of jobs by phase, and the newest jobs, on the pages that were read."""

    phases: Counter[str] = field(default_factory=Counter)
    newest: list[Job] = field(default_factory=list)
    """The newest SHOWN jobs, newest first."""
    unread: int = 0
    """Number of jobs that were not read because there are too many."""

    def add(self, page: Page) -> None:
        """Count the jobs of a page."""
        self.phases.update(job.phase for job in page.jobs)
        self.newest = heapq.nlargest(SHOWN, [*self.newest, *page.jobs])
        self.unread = page.left


def show(client: Kubectl) -> None:
    """Print the workloads and the newest jobs. Raises ClusterError if kubectl fails."""
    print(_table(client, "get", "deployments,statefulsets"))
    for kind in ("jobs", "pods"):
        table = _table(client, "get", kind, "--sort-by=.metadata.creationTimestamp")
        print("", *newest_rows(table, kind), sep="\n")

    tally = count(client)
    print("", *summary(tally), sep="\n")
    if tally.newest:
        # Jobs that were deleted in the meantime are left out.
        names = (job.name for job in tally.newest)
        print(_table(client, "get", "imagejobs", "--ignore-not-found", *names))


def newest_rows(table: str, kind: str) -> list[str]:
    """Return the newest SHOWN rows of a table that kubectl printed, with the newest row first.

    The oldest row of `table` must be first. A final line says how many rows were left out.
    """
    heading, *rows = table.splitlines() or [f"No {kind}."]
    more = [f"… and {len(rows) - SHOWN:,} older {kind}"] if len(rows) > SHOWN else []
    return [heading, *reversed(rows[-SHOWN:]), *more]


def count(client: Kubectl) -> Tally:
    """Count the jobs page by page, up to MAX_PAGES."""
    tally = Tally()
    for page in _pages(client):
        tally.add(page)
    return tally


def summary(tally: Tally) -> list[str]:
    """Return the summary lines above the newest jobs."""
    total = tally.phases.total()
    if not total:
        return ["No image jobs."]

    others = sorted(tally.phases.keys() - set(PHASES))
    parts = [
        f"{tally.phases[phase]:,} {phase}" for phase in (*PHASES, *others) if tally.phases[phase]
    ]
    lines = [f"{total:,} image jobs: {', '.join(parts)}."]

    if tally.unread:
        lines.append(
            f"About {tally.unread:,} more were not read; "
            "neither the counts nor the list include them."
        )

    shown = len(tally.newest)
    lines.append(f"The newest {shown}, newest first:" if shown < total else "Newest first:")
    return lines


def _pages(client: Kubectl) -> Iterator[Page]:
    token = ""
    for _ in range(MAX_PAGES):
        more = f"&continue={quote(token, safe='')}" if token else ""
        page = parse(
            client.kubectl_output(
                "get", "--raw", f"{JOBS}?limit={PAGE_SIZE}{more}", REQUEST_TIMEOUT
            )
        )
        yield page
        token = page.token
        if not token:
            return


def parse(text: str) -> Page:
    """Parse a list from the API server. Raises ClusterError if it is invalid."""
    try:
        found = json.loads(text)
        metadata = found["metadata"]
        jobs = tuple(_job(item) for item in found["items"])
        return Page(
            jobs, metadata.get("continue") or "", int(metadata.get("remainingItemCount") or 0)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterError(f"Can't parse the API server's list of image jobs: {error!r}") from None


def _job(item: Mapping[str, Mapping[str, str]]) -> Job:
    metadata = item["metadata"]
    phase = item.get("status", {}).get("phase") or FIRST_PHASE
    return Job(metadata["creationTimestamp"], metadata["name"], phase)


def _table(client: Kubectl, *arguments: str) -> str:
    return client.kubectl_output("-n", NAMESPACE, REQUEST_TIMEOUT, *arguments).rstrip()
