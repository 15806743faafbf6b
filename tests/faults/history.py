"""Check the history of a run against the README's promises ("What you can rely on")."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from vision_node_contract.json_types import Json

TERMINAL = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Expected:
    """The required outcome of an ImageJob, no matter which components are killed."""

    phase: Literal["done", "failed"] = "done"
    reasons: frozenset[str] = frozenset()
    """Allowed error reasons if the phase is `failed`."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the image. They identify its result, because no two images that must
    be described have the same size."""


@dataclass(frozen=True, slots=True)
class Submit:
    """An acknowledged submission: the API answered 202, or the API server answered 201."""

    key: str
    """The Idempotency-Key, or the name of an ImageJob that was created directly."""
    job: str
    """Name of the ImageJob in the response."""
    expected: Expected


@dataclass(frozen=True, slots=True)
class Observation:
    """State of an ImageJob in a watch event."""

    at: float
    """Time of the observation in seconds, from time.monotonic()."""
    job: str
    version: int
    status: Json
    image_key: str = "images/1"
    max_attempts: int = 3
    deleted: bool = False
    uid: str = ""

    @property
    def ended(self) -> bool:
        """Whether the phase is terminal."""
        return self.status["phase"] in TERMINAL


@dataclass
class History:
    """Everything that was observed from outside the system during a run."""

    submits: list[Submit] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    results: dict[str, Json | str] = field(default_factory=dict)
    """Response of GET /result by ImageJob name. A string is the text of an error response."""
    objects: frozenset[str] = frozenset()
    """Keys of all objects in the bucket at the end of the run."""
    archived: frozenset[str] = frozenset()
    """Uids of the ImageJobs that have rows in PostgreSQL, so that their deletion is an eviction."""
    lost: frozenset[str] = frozenset()
    """Uids of the ImageJobs that were evicted between a copy of PostgreSQL and its restoration."""
    last_fault: float = 0
    """Time at which the last fault ended, on the same clock as the observations."""
    patience: float = 60
    """Maximum number of seconds without the end of an ImageJob, after the last fault."""

    def by_job(self) -> dict[str, list[Observation]]:
        """Return the observations of each ImageJob, oldest first."""
        found: dict[str, list[Observation]] = defaultdict(list)
        for each in sorted(self.observations, key=lambda each: each.version):
            found[each.job].append(each)
        return found

    def first_ends(self) -> list[float]:
        """Return the times at which ImageJobs ended, earliest first."""
        found = {it.job: it.at for it in reversed(self.observations) if it.ended}
        return sorted(found.values())


def check(history: History) -> list[str]:
    """Return a message for each broken promise, or an empty list if all promises were kept."""
    jobs = history.by_job()

    return [
        *_none_lost(history, jobs),
        *_one_job_per_key(history.submits, jobs),
        *(broken for observations in jobs.values() for broken in _one_end(observations)),
        *(broken for observations in jobs.values() for broken in _attempts(observations)),
        *_none_stuck(history, jobs),
        *_ends_as_expected(history.submits, jobs),
        *_results(history, jobs),
        *_images(history, jobs),
    ]


def _none_lost(history: History, jobs: dict[str, list[Observation]]) -> Iterator[str]:
    kept = history.archived | history.lost
    for submit in history.submits:
        if submit.job not in jobs:
            yield f"{submit.job}: lost: its submission was acknowledged, but no watch reported it"
        elif jobs[submit.job][-1].deleted and jobs[submit.job][-1].uid not in kept:
            yield f"{submit.job}: lost: it was deleted"


def _one_job_per_key(
    submits: Iterable[Submit], jobs: dict[str, list[Observation]]
) -> Iterator[str]:
    answers: dict[str, set[str]] = defaultdict(set)
    for submit in submits:
        answers[submit.key].add(submit.job)

    for key, names in answers.items():
        if len(names) > 1:
            yield f"key {key}: answered with several ImageJobs: {', '.join(sorted(names))}"

    for extra in jobs.keys() - {submit.job for submit in submits}:
        yield f"{extra}: no response names it, so a key has a second ImageJob"


def _one_end(observations: list[Observation]) -> Iterator[str]:
    """Check that the status of an ImageJob never changes after a terminal phase."""
    for before, after in pairwise(observations):
        if before.ended and not after.deleted and after.status != before.status:
            yield f"{after.job}: changed after it was {before.status['phase']}: now {after.status}"


def _attempts(observations: list[Observation]) -> Iterator[str]:
    """Check that the attempts stay within the limit and never decrease.

    Also check that each attempt belongs to only one worker.
    """
    first = observations[0]
    most = max(_counted_attempts(it.status) for it in observations)
    if most > first.max_attempts:
        yield f"{first.job}: {most} attempts, but at most {first.max_attempts} are allowed"

    for before, after in pairwise(observations):
        attempts, next_attempts = (it.status.get("attempts", 0) for it in (before, after))
        workers = {it.status["worker"] for it in (before, after) if "worker" in it.status}

        if next_attempts < attempts:
            yield f"{after.job}: attempts went from {attempts} back to {next_attempts}"
        elif next_attempts == attempts and len(workers) > 1:
            names = ", ".join(sorted(workers))
            yield f"{after.job}: attempt {attempts} belongs to several workers: {names}"


def _counted_attempts(status: Json) -> int:
    """Return the number of attempts. Attempts lost because of the infrastructure don't count."""
    counted: int = status.get("attempts", 0) - status.get("losses", 0)
    return counted


def _none_stuck(history: History, jobs: dict[str, list[Observation]]) -> Iterator[str]:
    """Check that each ImageJob ended, and that none had to wait for long without any other end.

    How long all of them take together depends on the speed of the machine.
    """
    for job, observations in jobs.items():
        if not any(it.ended for it in observations):
            yield f"{job}: stuck: {observations[-1].status}"

    for period in standstills(history.first_ends(), history.last_fault, history.patience):
        yield f"no ImageJob ended {period}"


def standstills(steps: Iterable[float], last_fault: float, patience: float) -> Iterator[str]:
    """Yield each period without a step, after the last fault, of more than `patience` seconds."""
    afterward = [at for at in steps if at > last_fault]

    for before, after in pairwise([last_fault, *afterward]):
        if after - before > patience:
            yield f"for {after - before:.0f} s, {before - last_fault:.0f} s after the last fault"


def _ends_as_expected(
    submits: Iterable[Submit], jobs: dict[str, list[Observation]]
) -> Iterator[str]:
    for submit in submits:
        last = jobs[submit.job][-1] if submit.job in jobs else None
        if not last or not last.ended:
            continue

        phase, error = last.status["phase"], last.status.get("error") or {}
        expected = submit.expected
        is_other_reason = phase == "failed" and error.get("reason") not in expected.reasons
        if phase != expected.phase or is_other_reason:
            wanted = f"{expected.phase} {' or '.join(sorted(expected.reasons))}".strip()
            yield f"{submit.job}: {phase} {error}, but should be {wanted}"


def _results(history: History, jobs: dict[str, list[Observation]]) -> Iterator[str]:
    """Check that each ImageJob in the phase `done` has a readable result for its own image."""
    for submit in history.submits:
        observations = jobs.get(submit.job)
        if not observations or observations[-1].status["phase"] != "done":
            continue
        if observations[-1].uid in history.lost:
            continue

        result = history.results.get(submit.job, "it was not requested")
        if isinstance(result, str):
            yield f"{submit.job}: done, but its result can't be read: {result}"
            continue

        facts = result.get("facts", {})
        size = (facts.get("width"), facts.get("height"))
        if size != submit.expected.size:
            yield f"{submit.job}: result is for an image of size {size}, not {submit.expected.size}"


def _images(history: History, jobs: dict[str, list[Observation]]) -> Iterator[str]:
    """Check that the image of each ImageJob still exists."""
    for job, observations in jobs.items():
        last = observations[-1]
        if last.uid not in history.lost and last.image_key not in history.objects:
            yield f"{job}: its image {last.image_key} is gone"
