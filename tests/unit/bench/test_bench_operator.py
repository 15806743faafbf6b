"""Tests of the benchmark of the operator's rounds, with few workers and ImageJobs."""

from bench.operator.rounds import NOW, SETTINGS, Scene, round_seconds, state_of
from vision_node_operator.decisions.decide import decide
from vision_node_operator.decisions.pool_view import workers_by_describer

SCENE = Scene(describers=2, workers=3, queued=10, pending=4)


def test_all_workers_of_a_scene_are_busy() -> None:
    state = state_of(SCENE)
    workers = [it for found in workers_by_describer(state, NOW).values() for it in found]
    assert len(workers) == 6
    assert all(worker.serving and worker.in_flight >= 4 for worker in workers)
    assert not any(type(it).__name__ == "Assign" for it in decide(state, SETTINGS, NOW))


def test_round_is_measured() -> None:
    assert round_seconds(SCENE) > 0
