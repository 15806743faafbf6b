"""What runs in the cluster, how many jobs there are in each phase, and the newest ones."""

import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from cluster.errors import ClusterError
from cluster.release import NAMESPACE

SHOWN = 20

# As many objects as kubectl asks for at once, too: a page takes the API server some 10 ms.
PAGE_SIZE = 500
# So that a full cluster costs seconds and not minutes: 20,000 jobs.
MOST_PAGES = 40

JOBS = f"/apis/vision-node.dev/v1alpha1/namespaces/{NAMESPACE}/imagejobs"
REQUEST_TIMEOUT = "--request-timeout=30s"

# The order in which a job goes through them, for the reader.
PHASES = ("queued", "processing", "done", "failed")
# What the CRD gives a job that nobody has touched.
FIRST_PHASE = "queued"


class Kubectl(Protocol):
    """Whoever asks kubectl."""

    def ask(self, *arguments: str) -> str:
        """Return what kubectl prints. Raises ClusterError if it fails."""


@dataclass(frozen=True, order=True)
class Job:
    """What is needed of an ImageJob; later ones are greater."""

    created: str
    """As the API server writes it (RFC 3339, UTC), so that the order of texts is that of times."""
    name: str
    phase: str = field(compare=False)


@dataclass(frozen=True)
class Page:
    """A part of the list of ImageJobs."""

    jobs: tuple[Job, ...]
    token: str
    """What the next page is asked for with; "" after the last."""
    left: int
    """How many jobs the following pages have, as the API server estimates."""


@dataclass
class Tally:
    """What is known of the jobs that were read."""

    phases: Counter[str] = field(default_factory=Counter)
    newest: list[Job] = field(default_factory=list)
    """The newest SHOWN of them, the newest first."""
    unread: int = 0
    """How many jobs were left out, because there are too many."""

    def add(self, page: Page) -> None:
        """Take a page into account."""
        self.phases.update(job.phase for job in page.jobs)
        self.newest = heapq.nlargest(SHOWN, [*self.newest, *page.jobs])
        self.unread = page.left


def show(client: Kubectl) -> None:
    """Print what runs and the newest jobs. Raises ClusterError if the API server does not tell."""
    print(_table(client, "get", "deployments,statefulsets"))
    for kind in ("jobs", "pods"):
        table = _table(client, "get", kind, "--sort-by=.metadata.creationTimestamp")
        print("", *newest_rows(table, kind), sep="\n")
    tally = count(client)
    print("", *summary(tally), sep="\n")
    if tally.newest:
        # Those that were deleted in the meantime are left out.
        names = (job.name for job in tally.newest)
        print(_table(client, "get", "imagejobs", "--ignore-not-found", *names))


def newest_rows(table: str, kind: str) -> list[str]:
    """Return a table of kubectl's, whose oldest row is the first, with the newest SHOWN rows from the top."""
    heading, *rows = table.splitlines() or [f"No {kind}."]
    more = [f"… and {len(rows) - SHOWN:,} older {kind}"] if len(rows) > SHOWN else []
    return [heading, *reversed(rows[-SHOWN:]), *more]


def count(client: Kubectl) -> Tally:
    """Read the jobs page by page, up to MOST_PAGES."""
    tally = Tally()
    for page in _pages(client):
        tally.add(page)
    return tally


def summary(tally: Tally) -> list[str]:
    """Return the lines above the newest jobs."""
    total = tally.phases.total()
    if not total:
        return ["No image jobs."]
    others = sorted(tally.phases.keys() - set(PHASES))
    parts = [f"{tally.phases[phase]:,} {phase}" for phase in (*PHASES, *others) if tally.phases[phase]]
    lines = [f"{total:,} image jobs: {', '.join(parts)}."]
    if tally.unread:
        lines.append(
            f"Some {tally.unread:,} more were not read; they are in neither the numbers nor the list."
        )
    shown = len(tally.newest)
    lines.append(f"The newest {shown}, newest first:" if shown < total else "Newest first:")
    return lines


def _pages(client: Kubectl) -> Iterator[Page]:
    token = ""
    for _ in range(MOST_PAGES):
        more = f"&continue={quote(token, safe='')}" if token else ""
        page = parse(client.ask("get", "--raw", f"{JOBS}?limit={PAGE_SIZE}{more}", REQUEST_TIMEOUT))
        yield page
        token = page.token
        if not token:
            return


def parse(text: str) -> Page:
    """Read a list as the API server sends it. Raises ClusterError if it is none."""
    try:
        found = json.loads(text)
        metadata = found["metadata"]
        jobs = tuple(_job(item) for item in found["items"])
        return Page(jobs, metadata.get("continue") or "", int(metadata.get("remainingItemCount") or 0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterError(f"The API server's list of image jobs can't be read: {error!r}") from None


def _job(item: Mapping[str, Mapping[str, str]]) -> Job:
    metadata = item["metadata"]
    phase = item.get("status", {}).get("phase") or FIRST_PHASE
    return Job(metadata["creationTimestamp"], metadata["name"], phase)


def _table(client: Kubectl, *arguments: str) -> str:
    return client.ask("-n", NAMESPACE, REQUEST_TIMEOUT, *arguments).rstrip()
