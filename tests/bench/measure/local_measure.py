"""Measure what one process with the describer `local` or `metadata` costs, and print it as JSON.

Run this module in a separate process: `python -m bench.measure.local_measure <describer> <mode>`.

- `start` describes one photograph, and prints the time at which it was described.
- `one` describes photographs one after the other, on one core.
- `two` describes photographs in two threads, like a worker with a `concurrency` of 2.

Any arguments after the mode are the numbers of the cores that the process may use. By default, it
may use all cores.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path

from vision_node_contract.models.description import Description, Options
from vision_node_describer.describers import load
from vision_node_describer.describers.interface import Describer

PHOTOGRAPHS = Path("photographs")
"""Folder of the photographs, relative to the current folder. The parent process creates it."""

TIMES = 40
"""Number of descriptions to measure."""

HEAVY = ("onnxruntime", "cv2", "rapidocr", "numpy")
"""Libraries that a worker with the describer `metadata` must not load."""

WORKER = "vision_node_describer.worker"
"""Module that every worker imports."""


@dataclass(slots=True)
class Measured:
    """Measured times, memory and threads."""

    first_done_at: float
    """Time when the first photograph was described, in seconds since the epoch."""
    first_bytes: int
    """Memory after the first description."""
    seconds: list[float] = field(default_factory=list)
    """Time of each description after the first."""
    total_seconds: float = 0.0
    """Total time of these descriptions."""
    cpu_seconds: float = 0.0
    """Total CPU time of these descriptions. Unlike the times above, it hardly depends on how busy
    the machine is."""
    peak_bytes: int = 0
    threads: int = 0
    """Maximum number of operating system threads in the process."""
    loaded: list[str] = field(default_factory=list)
    """The libraries in HEAVY that were loaded."""


def main(arguments: list[str]) -> None:
    """Measure according to the command line, and print the results."""
    name, mode, *cores = arguments
    if cores:
        os.sched_setaffinity(0, map(int, cores))

    import_module(WORKER)
    images = [file.read_bytes() for file in sorted(PHOTOGRAPHS.iterdir())]
    describer = load(name)
    _describe(describer, images[0])
    measured = Measured(time.time(), _memory("VmRSS"))

    threads = {"start": 0, "one": 1, "two": 2}[mode]
    if threads:
        _measure(measured, describer, images, threads)

    # The peak from getrusage() would include the parent process's memory.
    measured.peak_bytes = _memory("VmHWM")
    measured.loaded = [library for library in HEAVY if library in sys.modules]
    print(json.dumps(asdict(measured)))


def _measure(measured: Measured, describer: Describer, images: list[bytes], threads: int) -> None:
    chosen = [images[number % len(images)] for number in range(TIMES)]
    counts: list[int] = []

    def describe(image: bytes) -> float:
        before = time.perf_counter()
        _describe(describer, image)
        counts.append(_threads())
        return time.perf_counter() - before

    before, cpu_before = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        measured.seconds = list(pool.map(describe, chosen))

    measured.total_seconds = time.perf_counter() - before
    measured.cpu_seconds = time.process_time() - cpu_before
    measured.threads = max(counts)


def _describe(describer: Describer, image: bytes) -> Description:
    found = describer.describe(image, Options())
    if not isinstance(found, Description):
        raise TypeError("only describers that are not asynchronous can be measured")
    return found


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _memory(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(entry))


if __name__ == "__main__":
    main(sys.argv[1:])
