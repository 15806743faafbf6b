"""Measure the time, memory, threads and throughput of processes with the describer `local`."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.arena import REPOSITORY
from bench.measure.local_measure import PHOTOGRAPHS, Measured
from bench.measure.pictures_1080p import photographs

STARTS = 5
"""Number of processes that are started to measure the cold start."""

ROUNDS = 3
"""Number of times that the throughput is measured. Each time, it is measured with each number of
processes, so that other programs affect all results equally."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Throughput of processes that ran concurrently."""

    per_second: float
    """Photographs per second of all processes together."""
    cpu_seconds: float
    """CPU time per photograph."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of the describers for the same photographs of 1920 × 1080 pixels."""

    starts: dict[str, list[float]]
    """Seconds between the start of a process and its first description, by describer."""
    one: dict[str, Measured]
    """Measurements with one photograph at a time on one core, by describer."""
    two: Measured
    """Measurement with two photographs at a time on all cores, as with a `concurrency` of 2."""
    throughput: dict[int, Throughput]
    """Throughput by number of processes, each of which has one core."""


def measure() -> Cost:
    """Measure the cost. This takes a few minutes."""
    cores = sorted(os.sched_getaffinity(0))
    counts = (1, 2) if len(cores) > 1 else (1,)
    with _folder() as folder:
        return Cost(
            starts={name: _starts(folder, name, cores[-1]) for name in ("local", "metadata")},
            one={name: _run(folder, name, "one", cores[-1]) for name in ("local", "metadata")},
            two=_run(folder, "local", "two"),
            throughput=_throughputs(folder, cores, counts),
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """Create a folder with the photographs."""
    with tempfile.TemporaryDirectory() as name:
        files = Path(name, PHOTOGRAPHS)
        files.mkdir()
        for number, picture in enumerate(photographs()):
            (files / f"{number}.jpg").write_bytes(picture.data)
        yield Path(name)


def _starts(folder: Path, name: str, core: int) -> list[float]:
    seconds = []
    for _ in range(STARTS):
        before = time.time()
        seconds.append(_run(folder, name, "start", core).first_done_at - before)
    return seconds


def _run(folder: Path, *arguments: str | int) -> Measured:
    return _result(_started(folder, *arguments))


def _started(folder: Path, *arguments: str | int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.measure.local_measure", *map(str, arguments)]
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def _result(process: "subprocess.Popen[str]") -> Measured:
    output, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Measured(**json.loads(output))


def _throughputs(
    folder: Path, cores: Sequence[int], counts: Sequence[int]
) -> dict[int, Throughput]:
    results: dict[int, list[list[Measured]]] = {count: [] for count in counts}
    for _ in range(ROUNDS):
        for count in counts:
            started = [_started(folder, "local", "one", core) for core in cores[:count]]
            results[count].append([_result(process) for process in started])

    return {count: _median(rounds) for count, rounds in results.items()}


def _median(rounds: Sequence[Sequence[Measured]]) -> Throughput:
    """Return the medians of several rounds, each with the results of all processes."""
    per_second = [sum(len(one.seconds) / one.total_seconds for one in found) for found in rounds]
    cpu = [one.cpu_seconds / len(one.seconds) for found in rounds for one in found]
    return Throughput(statistics.median(per_second), statistics.median(cpu))
