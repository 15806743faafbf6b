"""Measure the describer `ocr` on one core, and print the results as JSON.

Run this module in a separate process: `python -m bench.measure.ocr_measure`. With the argument
`one`, it reads a single picture several times, like a worker that has just started. Without an
argument, it reads all pictures in the corpus.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from printed import CONDITIONS, FONTS, Condition, Page, pages, words_read
from vision_node_contract.models.description import Options
from vision_node_describer.describers import load
from vision_node_describer.describers.ocr.describer import Ocr

TIMES = 20
"""Number of times to read the single picture."""


@dataclass(slots=True)
class Measured:
    """Times, memory and accuracy."""

    start_seconds: float
    """Time for loading libraries and models."""
    started_bytes: int
    """Memory after loading."""
    seconds: list[float] = field(default_factory=list)
    """Reading time of each picture in the condition `clean`."""
    words: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    """Number of words read correctly and total number of words, by condition and font."""
    peak_bytes: int = 0


def main(arguments: list[str]) -> None:
    """Measure according to the command line, and print the results."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    before = time.perf_counter()
    ocr = cast("Ocr", load("ocr"))
    measured = Measured(time.perf_counter() - before, _memory("VmRSS"))

    if arguments == ["one"]:
        page = pages("Roboto")[0]
        for _ in range(TIMES):
            _read(ocr, CONDITIONS["clean"], page, measured.seconds)
    else:
        for name in CONDITIONS:
            measured.words[name] = {font: _read_font(ocr, name, font, measured) for font in FONTS}

    # The peak from getrusage() would include the parent process's memory.
    measured.peak_bytes = _memory("VmHWM")
    print(json.dumps(asdict(measured)))


def _read_font(ocr: Ocr, name: str, font: str, measured: Measured) -> tuple[int, int]:
    print(f"{font}, {name}", file=sys.stderr)
    seconds = measured.seconds if name == "clean" else []
    found = [(page.words, _read(ocr, CONDITIONS[name], page, seconds)) for page in pages(font)]
    return sum(words_read(words, text) for words, text in found), sum(
        len(words) for words, _ in found
    )


def _read(ocr: Ocr, condition: Condition, page: Page, seconds: list[float]) -> str:
    image = condition.file(page.picture)
    before = time.perf_counter()
    text = ocr.describe(image, Options()).text
    seconds.append(time.perf_counter() - before)
    return text


def _memory(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(entry))


if __name__ == "__main__":
    main(sys.argv[1:])
