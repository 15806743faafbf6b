"""What happened in a run, and whether it is what the README promises ("What you can rely on")."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

Json = dict[str, Any]

TERMINAL = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Expected:
    """How an ImageJob has to end, whatever is killed meanwhile."""

    phase: Literal["done", "failed"] = "done"
    reasons: frozenset[str] = frozenset()
    """Of failed ones: any of these."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the picture: no two are alike, so that a result tells whose it is."""


@dataclass(frozen=True, slots=True)
class Submit:
    """A submit that was acknowledged: by the API with 202, or by the API server with 201."""

    key: str
    """The Idempotency-Key, or the name that kubectl's user gave."""
    job: str
    """The ImageJob that the answer names."""
    expected: Expected


@dataclass(frozen=True, slots=True)
class Seen:
    """An ImageJob as a watch showed it."""

    at: float
    """Seconds of the observer's clock."""
    job: str
    version: int
    status: Json
    image_key: str = "images/1"
    max_attempts: int = 3
    deleted: bool = False

    @property
    def ended(self) -> bool:
        """Whether the phase is terminal."""
        return self.status["phase"] in TERMINAL


@dataclass
class History:
    """All that was seen of a run from outside."""

    submits: list[Submit] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    results: dict[str, Json | str] = field(default_factory=dict)
    """By ImageJob: what GET /result answered; a text says what was wrong with the answer."""
    objects: frozenset[str] = frozenset()
    """Keys in the bucket at the end."""
    last_fault: float = 0
    patience: float = 60
    """Seconds after the last fault within which all must have ended."""

    def of_jobs(self) -> dict[str, list[Seen]]:
        """What was seen of each ImageJob, oldest first."""
        found: dict[str, list[Seen]] = defaultdict(list)
        for seen in sorted(self.seen, key=lambda seen: seen.version):
            found[seen.job].append(seen)
        return found


def check(history: History) -> list[str]:
    """Return what was broken of the promises, in words; nothing if all was kept."""
    jobs = history.of_jobs()
    return [
        *_none_lost(history.submits, jobs),
        *_one_job_per_key(history.submits, jobs),
        *(broken for seen in jobs.values() for broken in _one_end(seen)),
        *(broken for seen in jobs.values() for broken in _attempts(seen)),
        *_none_stuck(history, jobs),
        *_ends_as_expected(history.submits, jobs),
        *_results(history, jobs),
        *_images(history, jobs),
    ]


def _none_lost(submits: Iterable[Submit], jobs: dict[str, list[Seen]]) -> Iterator[str]:
    for submit in submits:
        if submit.job not in jobs:
            yield f"{submit.job}: lost: its submit was acknowledged, no watch showed it"
        elif jobs[submit.job][-1].deleted:
            yield f"{submit.job}: lost: it was deleted"


def _one_job_per_key(submits: Iterable[Submit], jobs: dict[str, list[Seen]]) -> Iterator[str]:
    answers: dict[str, set[str]] = defaultdict(set)
    for submit in submits:
        answers[submit.key].add(submit.job)

    for key, names in answers.items():
        if len(names) > 1:
            yield f"key {key}: answered with several ImageJobs: {', '.join(sorted(names))}"

    for stranger in jobs.keys() - {submit.job for submit in submits}:
        yield f"{stranger}: no submit was answered with it: a second ImageJob for some key"


def _one_end(seen: list[Seen]) -> Iterator[str]:
    """A terminal status is written once and never changes."""
    for before, after in pairwise(seen):
        if before.ended and not after.deleted and after.status != before.status:
            yield f"{after.job}: changed after it was {before.status['phase']}: now {after.status}"


def _attempts(seen: list[Seen]) -> Iterator[str]:
    """Attempts are counted, bounded, and each belongs to one worker."""
    most = max(_paid(it.status) for it in seen)
    if most > seen[0].max_attempts:
        yield f"{seen[0].job}: {most} attempts, of at most {seen[0].max_attempts}"

    for before, after in pairwise(seen):
        first, second = (it.status.get("attempts", 0) for it in (before, after))
        workers = {it.status["worker"] for it in (before, after) if "worker" in it.status}
        if second < first:
            yield f"{after.job}: attempts went from {first} back to {second}"
        elif second == first and len(workers) > 1:
            yield f"{after.job}: attempt {first} is of several workers: {', '.join(sorted(workers))}"


def _paid(status: Json) -> int:
    """Attempts but for those that infrastructure took, which cost nothing."""
    paid: int = status.get("attempts", 0) - status.get("losses", 0)
    return paid


def _none_stuck(history: History, jobs: dict[str, list[Seen]]) -> Iterator[str]:
    latest = history.last_fault + history.patience
    for job, seen in jobs.items():
        ended = next((it.at for it in seen if it.ended), None)
        if ended is None:
            yield f"{job}: stuck: {seen[-1].status}"
        elif ended > latest:
            yield f"{job}: ended {ended - history.last_fault:.0f} s after the last fault: too late"


def _ends_as_expected(submits: Iterable[Submit], jobs: dict[str, list[Seen]]) -> Iterator[str]:
    for submit in submits:
        last = jobs[submit.job][-1] if submit.job in jobs else None
        if not last or not last.ended:
            continue
        phase, error = last.status["phase"], last.status.get("error") or {}
        wanted = submit.expected
        if phase != wanted.phase or (
            phase == "failed" and error.get("reason") not in wanted.reasons
        ):
            should = f"{wanted.phase} {' or '.join(sorted(wanted.reasons))}".strip()
            yield f"{submit.job}: {phase} {error}, but should be {should}"


def _results(history: History, jobs: dict[str, list[Seen]]) -> Iterator[str]:
    """What is done has a readable result, and it is that of its own picture."""
    for submit in history.submits:
        seen = jobs.get(submit.job)
        if not seen or seen[-1].status["phase"] != "done":
            continue
        result = history.results.get(submit.job, "nobody asked")
        if isinstance(result, str):
            yield f"{submit.job}: done, but its result can't be read: {result}"
            continue
        facts = result.get("facts", {})
        size = (facts.get("width"), facts.get("height"))
        if size != submit.expected.size:
            yield f"{submit.job}: the result is of a picture of {size}, not {submit.expected.size}"


def _images(history: History, jobs: dict[str, list[Seen]]) -> Iterator[str]:
    """The picture stays as long as its ImageJob does."""
    for job, seen in jobs.items():
        if not seen[-1].deleted and seen[-1].image_key not in history.objects:
            yield f"{job}: its image {seen[-1].image_key} is gone"
