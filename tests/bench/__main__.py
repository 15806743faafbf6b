"""Run a benchmark and write its report: `python -m bench [api | backlog | local | ocr | operator]`.

The environment variable QUICK=1 shortens the measurement to a few minutes. WRITE=1 replaces the
report in docs/. KEEP=1 keeps the cluster afterward.
"""

import asyncio
import os
import signal
import sys
import types

import uvloop

from bench import compare, ocr
from bench.api import cache, memory
from bench.arena import REPOSITORY
from bench.backlog import measure as measure_backlog
from bench.errors import BenchError
from bench.local import report as local_report
from bench.operator import leases, rounds
from bench.plan import FULL, FULL_BACKLOG, QUICK, QUICK_BACKLOG
from bench.report import writer
from cluster.errors import ClusterError

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run the benchmark that the arguments select, and return the exit status."""
    signal.signal(signal.SIGTERM, _end)
    quick, write = (os.environ.get(name) == "1" for name in ("QUICK", "WRITE"))
    try:
        match arguments:
            case []:
                uvloop.run(compare.measure(QUICK if quick else FULL))
                print(writer.write(REPOSITORY, to_docs=write))
            case ["api"]:
                print(memory.report(), cache.report(), sep="\n\n")
            case ["backlog"]:
                uvloop.run(measure_backlog(QUICK_BACKLOG if quick else FULL_BACKLOG))
                print(writer.write(REPOSITORY, to_docs=write))
            case ["local"]:
                print(local_report.measure(REPOSITORY, to_docs=write))
            case ["ocr"]:
                print(ocr.measure(REPOSITORY, to_docs=write))
            case ["operator"]:
                print(rounds.report(), leases.report(), sep="\n\n")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (BenchError, ClusterError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED

    return 0


def _end(_signal: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
