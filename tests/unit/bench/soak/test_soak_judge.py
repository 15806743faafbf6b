"""Tests of the bars of a soak test."""

import dataclasses
from collections.abc import Callable

import pytest
from bench.errors import BenchError
from bench.soak.judge import NOT_JUDGED, judge
from bench.soak.plan import SoakPlan
from bench.soak.report import require_reached
from bench.soak.results import (
    AT_START,
    COMPACTED,
    COMPONENTS,
    EtcdSize,
    Found,
    Reading,
    Sample,
    Soak,
)
from unit.bench.soak.soak_fakes import new_soak, reading

LOAD_SECONDS = 1200
STEP = 5


def good_soak(load_seconds: float = LOAD_SECONDS) -> Soak:
    """Return the results of a soak test that reaches all bars."""
    soak = new_soak(SoakPlan(images=50_000, imagejob_seconds=240))
    soak.load_seconds, soak.evicted_seconds = load_seconds, 250
    soak.tally.done, soak.tally.results_checked = 50_000, 500
    soak.found = Found(50_000, 0, 1_000, 0, 100, 0, 200_000_000)
    soak.etcd = {AT_START: EtcdSize(9, 20_000_000), COMPACTED: EtcdSize(9, 21_000_000)}
    end = int(load_seconds) + 250

    for t in range(0, end + STEP, STEP):
        is_last = t >= end
        found = reading(0 if is_last else 10_000, 0 if is_last else 10_000)
        soak.samples.append(Sample(t, 42 * t, 0, 0, found))

    return soak


def change(soak: Soak, value: Callable[[float, Reading], Reading]) -> Soak:
    for sample in soak.samples:
        sample.reading = value(sample.seconds, sample.reading)
    return soak


def with_memory(component: str, at: Callable[[float], float]) -> Callable[[Soak], None]:
    def apply(soak: Soak) -> None:
        change(
            soak,
            lambda t, found: dataclasses.replace(
                found, memory={**found.memory, component: int(at(t))}
            ),
        )

    return apply


def with_etcd(at: Callable[[float], float]) -> Callable[[Soak], None]:
    def apply(soak: Soak) -> None:
        change(soak, lambda t, found: dataclasses.replace(found, etcd=EtcdSize(0, int(at(t)))))

    return apply


def at_end(**given: object) -> Callable[[Soak], None]:
    def apply(soak: Soak) -> None:
        last = soak.samples[-1]
        last.reading = dataclasses.replace(last.reading, **given)  # type: ignore[arg-type]

    return apply


def found_at_end(**given: int) -> Callable[[Soak], None]:
    def apply(soak: Soak) -> None:
        assert soak.found is not None
        soak.found = dataclasses.replace(soak.found, **given)

    return apply


def counted(**given: int) -> Callable[[Soak], None]:
    def apply(soak: Soak) -> None:
        for name, value in given.items():
            setattr(soak.tally, name, value)

    return apply


def missed(soak: Soak) -> list[str]:
    return [bar.sentence for bar in judge(soak) if bar.reached is False]


def test_soak_without_faults_reaches_every_bar() -> None:
    bars = judge(good_soak())
    not_judged = {f"memory of {name}: rise" for name in NOT_JUDGED}
    assert {bar.title for bar in bars if bar.reached is not True} == not_judged
    assert {f"memory of {name}: rise" for name in COMPONENTS} <= {bar.title for bar in bars}
    require_reached(good_soak())


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            counted(done=49_990, refused=1, failed=2, lost=3, unfinished=4),
            "10 of 50,000 images were not seen done: 1 not accepted, 2 failed, 3 lost, 4 not "
            "finished in time",
        ),
        (counted(results_wrong=2), "2 of 500 checked results are missing or are not from this "),
        (counted(results_checked=0), "0 of 0 checked results are missing or are not from this "),
        (
            found_at_end(missing=3),
            "acknowledged jobs that PostgreSQL does not have: 3 of 50,000",
        ),
        (
            found_at_end(acknowledged=49_999),
            "acknowledged jobs that PostgreSQL does not have: 1 of 49,999",
        ),
        (
            found_at_end(statuses_wrong=2),
            "evicted jobs whose status is not `done`: 2 of 1,000",
        ),
        (found_at_end(statuses=0), "evicted jobs whose status is not `done`: 0 of 0"),
        (
            found_at_end(searches_wrong=100),
            "images that a search for their word does not find: 100 of 100",
        ),
        (found_at_end(searches=0), "images that a search for their word does not find: 0 of 0"),
        (
            at_end(lag_seconds=31.5),
            "age of the oldest finished ImageJob that is not archived: maximum 31.5 s, at most ",
        ),
        (at_end(imagejobs=7), "ImageJobs are left at the end: 7"),
        (at_end(jobs=6), "describer Jobs beyond the 4 warm workers are left at the end: 2"),
        (at_end(pods=5), "workers' pods beyond the 4 warm workers are left at the end: 1"),
        (at_end(objects=1234), "objects below images/ and results/ are left at the end: 1,234"),
        (at_end(objects=None), "objects below images/ and results/ are left at the end: unknown"),
        (
            with_memory("archiver", lambda t: 100e6 + 20_000 * t),
            "memory of archiver: rise of 12.0 MB between minute 10 and 20, at most 5.",
        ),
        (
            with_memory("operator", lambda t: 100e6 + 20_000 * t),
            "memory of operator: rise of 12.0 MB between minute 10 and 20, at most 5.",
        ),
        (
            with_memory("kube-apiserver", lambda t: 2e9 + 500_000 * t),
            "memory of kube-apiserver: rise of 300.0 MB between minute 10 and 20, at most 1",
        ),
        (
            with_etcd(lambda t: 40e6 + 20_000 * t + 1e5 * (t % 300)),
            "etcd's database in use, between equal moments of its compaction cycle: rise of 12.0 MB"
            " between minute 10 and 20, at most 5.0 MB is allowed",
        ),
        (at_end(replaced=1), "1 containers were restarted or replaced, which resets their memory"),
        (
            lambda soak: soak.etcd.update({COMPACTED: EtcdSize(9, 30_000_000)}),
            "etcd's database in use when all is evicted, compacted: more than at the start "
            "by 10.0 MB, at most 4.0 MB is allowed",
        ),
        (lambda soak: soak.etcd.clear(), "etcd's database in use when all is evicted, co"),
        (
            lambda soak: setattr(soak, "failed_samples", 30),
            "30 of 321 samples could not be read, at most 16 is allowed",
        ),
    ],
)
def test_each_fault_misses_its_bar_with_a_sentence(
    fault: Callable[[Soak], None], sentence: str
) -> None:
    soak = good_soak()
    fault(soak)
    (said,) = missed(soak)
    assert said.startswith(sentence)
    with pytest.raises(BenchError) as error:
        require_reached(soak)
    assert str(error.value) == f"soak: {said}."


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(with_memory("api", lambda t: 90e6 + min(t, 600) * 1e5), id="early growth"),
        pytest.param(
            with_memory("api", lambda t: 90e6 if t < 1200 else 500e6), id="after the load"
        ),
        pytest.param(with_memory("api", lambda t: 90e6 + t % 50 * 4e6), id="garbage collection"),
        pytest.param(with_memory("api", lambda t: 300e6 - t * 1e5), id="falling"),
        pytest.param(with_etcd(lambda t: 40e6 + 1e5 * (t % 300)), id="compactions"),
        pytest.param(
            with_memory("etcd", lambda t: 80e6 + 1e5 * ((t + 150) % 300)), id="history in memory"
        ),
        pytest.param(with_memory("postgres", lambda t: 50e6 + 1e5 * t), id="PostgreSQL"),
    ],
)
def test_harmless_curves_reach_every_bar(harmless: Callable[[Soak], None]) -> None:
    soak = good_soak()
    harmless(soak)
    assert missed(soak) == []


def test_containers_that_were_replaced_before_the_load_do_not_count() -> None:
    soak = good_soak()
    change(soak, lambda t, found: dataclasses.replace(found, replaced=2))
    assert missed(soak) == []


def test_curves_of_a_short_load_are_not_judged() -> None:
    soak = good_soak(load_seconds=400)
    with_memory("operator", lambda t: 1e6 * t)(soak)
    bars = judge(soak)
    assert missed(soak) == []
    assert sum(bar.reached is None for bar in bars) == len(COMPONENTS) + 1


def test_etcd_is_not_judged_in_a_window_of_one_cycle() -> None:
    soak = good_soak(load_seconds=650)
    unknown = [bar.title for bar in judge(soak) if bar.reached is None]
    assert unknown == [
        "memory of etcd: rise",
        "memory of postgres: rise",
        "etcd's database in use, between equal moments of its compaction cycle: rise",
    ]


def test_component_that_was_never_measured_misses_its_bar() -> None:
    soak = good_soak()
    without = {name: 1 for name in COMPONENTS if name != "minio"}
    change(soak, lambda t, found: dataclasses.replace(found, memory=without))
    assert missed(soak) == ["memory of minio: rise: not measured between minute 10 and 20"]


def test_history_that_was_never_looked_at_misses_its_bars() -> None:
    soak = good_soak()
    soak.found = None
    change(soak, lambda t, found: dataclasses.replace(found, lag_seconds=None))
    assert [sentence.rpartition(": ")[2] for sentence in missed(soak)] == ["not measured"] * 4


def test_soak_without_samples_misses_bars_instead_of_failing() -> None:
    soak = good_soak()
    soak.samples.clear()
    assert "ImageJobs are left at the end: unknown" in missed(soak)
    assert "0 of 0 samples could not be read, at most 0 is allowed" in missed(soak)
