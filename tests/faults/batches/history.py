"""Check what happened to the ImageBatches of a run against the README's promises."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from vision_node_contract.json_types import Json
from vision_node_contract.ranges import RangeSet

from faults.fault_injection import Injected
from faults.history import TERMINAL, standstills
from faults.plan import Kind

BECAUSE_OF_SHARED_PARTS = frozenset({Kind.KILL_MINIO, Kind.KILL_APISERVER})
"""Faults after which each worker may lose the answers that it is waiting for: a worker can't store
them, or it appears to be lost."""

SHOWN = 5
"""Number of examples in a message about many images."""


@dataclass(frozen=True, slots=True)
class ExpectedLine:
    """The required outcome of an image, no matter which components are killed."""

    says: str = ""
    """Words in the description, by which it is recognized as that of this image."""
    reasons: frozenset[str] = frozenset()
    """Allowed error reasons of a harmful image; empty if the image must be described."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An ImageBatch, and the required outcome of each of its images by customId."""

    name: str
    expected: Mapping[str, ExpectedLine]
    is_paid: bool = False
    """Whether the provider charges for each answer."""


@dataclass(frozen=True, slots=True)
class BatchObservation:
    """State of an ImageBatch in a watch event."""

    at: float
    """Time of the observation in seconds, from time.monotonic()."""
    batch: str
    version: int
    status: Json
    deleted: bool = False

    @property
    def ended(self) -> bool:
        """Whether the phase is terminal."""
        return self.status["phase"] in TERMINAL

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of all images, of described ones and of failed ones."""
        images = self.status.get("images", {})
        return images.get("total", 0), images.get("done", 0), images.get("failed", 0)


@dataclass
class BatchHistory:
    """What was observed of the ImageBatches from outside the system during a run."""

    planned: list[Planned] = field(default_factory=list)
    observations: list[BatchObservation] = field(default_factory=list)
    results: dict[str, list[Json] | str] = field(default_factory=dict)
    """Lines of GET /batches/{name}/results by name. A string is the text of an error response."""
    shards_left: list[str] = field(default_factory=list)
    """Names of the shards that still existed after their batches had ended."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Number of requests that the provider received, by customId."""
    allowed_again: int = 0
    """Maximum number of answers that may be asked for again, because they were in flight."""
    last_fault: float = 0
    """Time at which the last fault ended, on the same clock as the observations."""
    patience: float = 120
    """Maximum number of seconds without a new status of an unfinished ImageBatch, after the last
    fault."""

    def of(self, batch: Planned) -> list[BatchObservation]:
        """Return the observations of an ImageBatch, oldest first."""
        found = [it for it in self.observations if it.batch == batch.name]
        return sorted(found, key=lambda it: it.version)

    def lines(self, batch: Planned) -> list[Json]:
        """Return the lines of an ImageBatch's results; none if they can't be read."""
        found = self.results.get(batch.name, [])
        return found if isinstance(found, list) else []


def allowed_again(injected: Iterable[Injected], workers: int, concurrency: int) -> int:
    """Return how many answers may have been in flight when a fault occurred.

    Args:
        injected: The faults of the run.
        workers: Number of workers that ask the provider.
        concurrency: Number of answers that each of them waits for at the same time.
    """
    kinds = Counter(fault.kind for _, fault in injected)
    shared = sum(kinds[kind] for kind in BECAUSE_OF_SHARED_PARTS)

    return concurrency * (kinds[Kind.KILL_WORKER] + workers * shared)


def check_batches(history: BatchHistory) -> list[str]:
    """Return a message for each broken promise, or an empty list if all promises were kept."""
    return [
        *(broken for batch in history.planned for broken in _batch(history, batch)),
        *(f"{shard}: this shard is left" for shard in history.shards_left),
        *_asked(history),
    ]


def _batch(history: BatchHistory, batch: Planned) -> Iterator[str]:
    observations = history.of(batch)
    if not observations or observations[-1].deleted:
        yield f"{batch.name}: lost: it was acknowledged, but it does not exist"
        return

    yield from _never_backward(observations)
    yield from _ends(history, observations)
    yield from _results(history, batch, observations[-1])


def _results(history: BatchHistory, batch: Planned, last: BatchObservation) -> Iterator[str]:
    lines = history.results.get(batch.name, "they were not requested")
    if isinstance(lines, str):
        yield f"{batch.name}: its results can't be read: {lines}"
        return

    if nameless := [line for line in lines if "customId" not in line]:
        yield f"{batch.name}: {len(nameless)} lines name no image: {nameless[0]}"
        return

    yield from _each_once(batch, lines)
    yield from _counts(last, lines)
    yield from (broken for line in lines for broken in _outcome(batch, line))


def _never_backward(observations: list[BatchObservation]) -> Iterator[str]:
    """Check that images once counted stay counted, and that a final status does not change."""
    name = observations[0].batch
    for it in observations:
        total, done, failed = it.counts
        counted = len(RangeSet.parse(it.status.get("counted", "")))
        if done + failed > total:
            yield f"{name}: {done} done and {failed} failed of only {total} images"
        if done + failed != counted:
            yield f"{name}: {done} done and {failed} failed, but {counted} are counted"

    for before, after in pairwise(observations):
        if before.ended and not after.deleted and after.status != before.status:
            yield f"{name}: changed after it was {before.status['phase']}: now {after.status}"
        if any(new < old for old, new in zip(before.counts, after.counts, strict=True)):
            yield f"{name}: went backward from {before.counts} to {after.counts}"

        old, new = (RangeSet.parse(it.status.get("counted", "")) for it in (before, after))
        if not new.issuperset(old):
            yield f"{name}: {old - new} were counted, and then no longer"


def _ends(history: BatchHistory, observations: list[BatchObservation]) -> Iterator[str]:
    name, last = observations[0].batch, observations[-1]
    ended = next((it.at for it in observations if it.ended), None)
    if ended is None:
        yield f"{name}: stuck: {last.status}"
        return

    # How long a batch takes depends on the speed of the machine.
    steps = [it.at for it in observations if it.at <= ended]
    for period in standstills(steps, history.last_fault, history.patience):
        yield f"{name}: no progress {period}"

    complete = [it for it in last.status.get("conditions", []) if it["type"] == "Complete"]
    if last.status["phase"] != "done" or [it["status"] for it in complete] != ["True"]:
        yield f"{name}: ended without the condition Complete: {last.status}"


def _each_once(batch: Planned, lines: list[Json]) -> Iterator[str]:
    """Check that each image has exactly one line, and that there are no other lines."""
    ids = Counter(line["customId"] for line in lines)
    wrong = {
        "have no line in the results": [it for it in batch.expected if not ids[it]],
        "have several lines in the results": [it for it, times in ids.items() if times > 1],
        "are in the results, but not in the batch": list(ids.keys() - batch.expected.keys()),
    }
    yield from (f"{batch.name}: {_some(found)} {words}" for words, found in wrong.items() if found)

    indexes = {line["index"] for line in lines}
    if indexes != set(range(len(lines))):
        yield f"{batch.name}: the indexes in the results are {RangeSet.of(indexes)}"


def _counts(last: BatchObservation, lines: list[Json]) -> Iterator[str]:
    """Check the counts in the final status against the lines."""
    failed = sum("error" in line for line in lines)
    actual = (len(lines), len(lines) - failed, failed)
    if last.ended and last.counts != actual:
        yield (
            f"{last.batch}: the status has (total, done, failed) = {last.counts}, "
            f"but the results have {actual}"
        )


def _outcome(batch: Planned, line: Json) -> Iterator[str]:
    """Check that harmful images fail, with their reasons, and that all others are described."""
    expected = batch.expected.get(line["customId"])
    image = f"{batch.name}: {line['customId']}"
    result, error = line.get("result"), line.get("error")
    if (result is None) == (error is None):
        yield f"{image}: must have either a result or an error: {line}"
    elif expected is None:
        return
    elif error is not None:
        if error["reason"] not in expected.reasons:
            wanted = " or ".join(sorted(expected.reasons)) or "no error"
            yield f"{image}: failed with {error}, but should have {wanted}"
    elif expected.reasons:
        yield f"{image}: was described, but must fail with {' or '.join(sorted(expected.reasons))}"
    elif result and expected.says not in result.get("description", ""):
        yield f"{image}: the result is that of another image: {expected.says!r} is not in {result}"


def _asked(history: BatchHistory) -> Iterator[str]:
    """Check that no answer was paid for twice, except for those in flight during a fault."""
    paid = [batch for batch in history.planned if batch.is_paid]
    images = {custom_id for batch in paid for custom_id in batch.expected}
    if unknown := sorted(history.asked.keys() - images):
        yield f"the provider was asked for images that no batch has: {_some(unknown)}"

    lines = (line for batch in paid for line in history.lines(batch) if "result" in line)
    described = {line.get("customId", "") for line in lines}
    if unasked := sorted(described - history.asked.keys()):
        yield f"described without asking the provider: {_some(unasked)}"

    again = {custom_id: times - 1 for custom_id, times in history.asked.items() if times > 1}
    if sum(again.values()) > history.allowed_again:
        yield (
            f"{sum(again.values())} answers were paid for again, but only "
            f"{history.allowed_again} were in flight during faults: {_some(sorted(again))}"
        )


def _some(found: list[str]) -> str:
    more = f" and {len(found) - SHOWN} others" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def reasons(lines: Iterable[Json]) -> Counter[str]:
    """Return how many images failed, by reason."""
    return Counter(line["error"]["reason"] for line in lines if "error" in line)
