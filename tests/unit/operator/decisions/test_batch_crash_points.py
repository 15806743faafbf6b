"""Walk every crash point of a batch: the operator may die between any two of its writes."""

from itertools import count

import pytest
from batch_model import BATCH, Cluster, Model, Operator

STRIDE = 1


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
    for killed_at in count(0, STRIDE):
        model = Model()
        if model.run(Operator(model.cluster), limit=killed_at) is None:
            break

        assert model.run(Operator(model.cluster)) is None, killed_at
        model.check()

    assert killed_at > 30


@pytest.mark.parametrize("delay", [1, 4, 15, 2000])
def test_killed_operator_whose_last_write_arrives_late(delay: int) -> None:
    for killed_at in count(0, STRIDE):
        model = Model()
        old = model.run(Operator(model.cluster), limit=killed_at)
        if old is None:
            break

        new = model.run(Operator(model.cluster), limit=delay)
        model.finish_late(old[1])
        if new:
            model.finish_late(new[1])
            assert model.run(new[0]) is None, killed_at
        assert model.run(Operator(model.cluster)) is None, killed_at
        model.check()


@pytest.mark.parametrize("delay", [1, 6, 2000])
def test_cancelled_batch_keeps_exactly_what_was_counted(delay: int) -> None:
    for cancelled_at in range(1, 40):
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
    for suspended_at in range(1, 40):
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
