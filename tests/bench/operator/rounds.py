"""Measure how long one round of the operator's decisions takes in clusters of different sizes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from vision_node_contract.json_types import Json
from vision_node_operator.decisions.decide import decide
from vision_node_operator.state.describer_registry import DescriberRegistry
from vision_node_operator.state.object_versions import Kind, ObjectKey
from vision_node_operator.state.state import State

from bench.operator.fakes import (
    IMAGES_AT_ONCE,
    POD_TEMPLATE,
    SETTINGS,
    at_version,
    describer,
    imagejob,
    worker,
)
from bench.report.tables import digits, table

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
REPEATS = 5
"""Number of rounds per scene. Only the fastest counts, because other programs may delay a round."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Numbers of objects in a cluster."""

    describers: int
    workers: int
    """Number of workers of each describer."""
    queued: int
    """Total number of queued ImageJobs."""
    pending: int = 0
    """Number of assignments that are being written."""


SCENES = (
    Scene(1, workers=2, queued=1000),
    Scene(1, workers=50, queued=10_000),
    Scene(1, workers=200, queued=20_000),
    Scene(1, workers=200, queued=20_000, pending=400),
    Scene(1, workers=500, queued=20_000, pending=400),
    Scene(50, workers=0, queued=0),
    Scene(50, workers=4, queued=20_000),
    Scene(50, workers=4, queued=20_000, pending=400),
)


def report() -> str:
    """Measure all scenes, and return a table of the results."""
    rows = [
        [
            f"{scene.describers}",
            f"{scene.workers}",
            f"{scene.queued:,}",
            f"{scene.pending}",
            digits(1000 * round_seconds(scene)),
        ]
        for scene in SCENES
    ]
    head = ["describers", "workers each", "queued ImageJobs", "pending assignments", "ms per round"]
    return table(head, rows)


def round_seconds(scene: Scene) -> float:
    """Return the CPU time of one round in seconds."""
    state = state_of(scene)
    decide(state, SETTINGS, NOW)

    times: list[float] = []
    for _ in range(REPEATS):
        start = time.process_time()
        decide(state, SETTINGS, NOW)
        times.append(time.process_time() - start)

    return min(times)


def state_of(scene: Scene) -> State:
    """Return the operator's state after its watches have reported all objects of a scene."""
    state = State(describers=DescriberRegistry(POD_TEMPLATE))
    for version, (kind, body) in enumerate(_objects(scene, state), start=1):
        state.observe(kind, at_version(body, version), NOW)

    for number in range(scene.pending):
        worker = f"d0-{number % max(1, scene.workers)}"
        state.begin_write(ObjectKey("imagejobs", f"pending-{number}"), worker)

    return state


def _objects(scene: Scene, state: State) -> Iterator[tuple[Kind, Json]]:
    """Yield the Describers, busy workers with their ImageJobs, and the queued ImageJobs."""
    for number in range(scene.describers):
        yield "describers", describer(f"d{number}", scene.workers)

    for pool in [*state.describers.pools()]:
        for number in range(scene.workers):
            name = f"{pool.describer}-{number}"
            yield from worker(name, pool.describer, pool.template_hash, NOW)
            for image in range(IMAGES_AT_ONCE):
                attempt = {"phase": "processing", "worker": name, "attempts": 1}
                yield "imagejobs", imagejob(f"{name}-{image}", pool.describer, NOW, **attempt)

    for number in range(scene.queued):
        yield "imagejobs", imagejob(f"queued-{number:06}", f"d{number % scene.describers}", NOW)
