"""Walk every crash point of a batch: the operator may die between any two of its writes."""

from functools import cache
from math import ceil

import pytest
from batch_model import BATCH, Cluster, Model, Operator

POINTS = 4
"""Number of times that an operator is killed at each kind of write, approximately. If it were
killed at every write, the tests would take half a minute."""


@cache
def crash_points() -> list[int]:
    """Return before which writes to kill the operator: some of each kind, early and late ones."""
    model = Model()
    model.run(Operator(model.cluster))
    places = {kind: list[int]() for kind in model.kinds}
    for place, kind in enumerate(model.kinds):
        places[kind].append(place)

    return sorted(it for found in places.values() for it in found[:: ceil(len(found) / POINTS)])


def suspend(cluster: Cluster) -> None:
    cluster.edit(cluster.batches, BATCH, suspend=True)


def resume(cluster: Cluster) -> None:
    cluster.edit(cluster.batches, BATCH, suspend=False)


def cancel(cluster: Cluster) -> None:
    cluster.edit(cluster.batches, BATCH, cancel=True)


def test_batch_with_images_that_end_workers_is_described() -> None:
    model = Model()
    assert model.run(Operator(model.cluster)) is None
    model.check()
    failed = {
        index
        for entries in model.cluster.index.values()
        for entry in entries
        if entry.error
        for index in entry.ended
    }
    assert failed == {5, 13}


def test_operator_that_is_killed_after_each_write() -> None:
    model = Model()
    for _ in range(500):
        if model.run(Operator(model.cluster), limit=1) is None:
            break

    model.check()


def test_operator_that_is_killed_once_at_each_write() -> None:
    for killed_at in crash_points():
        model = Model()
        assert model.run(Operator(model.cluster), limit=killed_at) is not None
        assert model.run(Operator(model.cluster)) is None, killed_at
        model.check()


def test_crash_points_are_all_kinds_of_writes() -> None:
    model = Model()
    model.run(Operator(model.cluster))
    assert {model.kinds[place].split()[0] for place in crash_points()} == {
        "AdvanceBatch",
        "Assign",
        "CreateShard",
        "DeleteShard",
        "Fail",
        "GiveUpShard",
        "Requeue",
    }
    assert "AdvanceBatch 1" in {model.kinds[place] for place in crash_points()}


@pytest.mark.parametrize("delay", [1, 4, 15, 2000])
def test_killed_operator_whose_last_write_arrives_late(delay: int) -> None:
    for killed_at in crash_points():
        model = Model()
        old = model.run(Operator(model.cluster), limit=killed_at)
        assert old is not None

        new = model.run(Operator(model.cluster), limit=delay)
        model.finish_late(old[1])
        if new:
            model.finish_late(new[1])
            assert model.run(new[0]) is None, killed_at
        assert model.run(Operator(model.cluster)) is None, killed_at
        model.check()


@pytest.mark.parametrize("delay", [1, 6, 2000])
def test_cancelled_batch_keeps_exactly_what_was_counted(delay: int) -> None:
    for cancelled_at in range(1, 40, 2):
        model = Model(on_write={cancelled_at: cancel})
        old = model.run(Operator(model.cluster), limit=cancelled_at + 2)
        new = model.run(Operator(model.cluster), limit=delay)
        if old:
            model.finish_late(old[1])
        if new:
            model.finish_late(new[1])
        assert model.run(Operator(model.cluster)) is None, cancelled_at
        batch = model.cluster.batch()
        assert batch.finished
        model.check(phase=batch.status.phase)


def test_suspended_batch_goes_on_exactly() -> None:
    for suspended_at in range(1, 40, 2):
        model = Model(on_write={suspended_at: suspend})
        assert model.run(Operator(model.cluster)) is None
        assert model.cluster.shards == {}
        suspended = model.cluster.batch()
        assert suspended.status.phase == "processing"
        condition = suspended.status.condition("Suspended")
        assert condition is not None
        assert condition.status == "True"

        resume(model.cluster)
        assert model.run(Operator(model.cluster)) is None
        model.check()
