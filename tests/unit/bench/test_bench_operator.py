"""Tests of the operator's benchmarks with few workers and ImageJobs."""

import asyncio

import pytest
from bench.operator import flood, leases, startup
from bench.operator.fakes import SETTINGS
from bench.operator.rounds import NOW, Scene, round_seconds, state_of
from vision_node_operator.decisions.decide import decide
from vision_node_operator.decisions.pool_view import workers_by_describer

SCENE = Scene(describers=2, workers=3, queued=10, pending=4)


def test_all_workers_of_a_scene_are_busy() -> None:
    state = state_of(SCENE)
    by_describer = workers_by_describer(state, NOW)
    workers = [worker for workers in by_describer.values() for worker in workers]
    assert len(workers) == 6
    assert all(worker.serving and worker.in_flight >= 4 for worker in workers)
    assert not any(type(action).__name__ == "Assign" for action in decide(state, SETTINGS, NOW))


def test_time_of_a_round_is_measured() -> None:
    assert round_seconds(SCENE) > 0


def test_cpu_time_of_lease_renewals_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.1)
    assert asyncio.run(leases.cpu_share(2)) > 0


def test_single_image_is_assigned_in_every_flood() -> None:
    rows = flood.measure(3)
    assert [(row.flood, row.number, row.written) for row in rows] == [
        ("none", 0, 0),
        *((name, 3, 3) for name in flood.FLOODS),
    ]
    assert None not in [row.seconds for row in rows]


def test_operator_crash_fails_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash must not be mistaken for a long delay."""
    monkeypatch.delattr("bench.operator.fakes.FakeCluster.sweep_periodically")
    with pytest.RaisesGroup(pytest.RaisesExc(AttributeError, match="sweep_periodically")):
        flood.measure(0)


def test_cpu_time_of_the_startup_is_measured() -> None:
    (row,) = startup.measure([10])
    assert row.retained == 10
    assert row.all_seconds > row.first_seconds > 0
