"""Run a benchmark and write its report.

Usage: `python -m bench [api | auth | backlog | batch | events | history | history-cluster | local |
ocr | operator | soak | uploads]`.

The environment variable QUICK=1 shortens the measurement to a few minutes. WRITE=1 replaces the
report in docs/. KEEP=1 keeps the cluster afterward.
"""

import os
import sys

import uvloop

from bench import compare, ocr
from bench.api import auth, cache, events, memory
from bench.arena import REPOSITORY
from bench.backlog import measure as measure_backlog
from bench.batch.large import measure as measure_batch
from bench.batch.plan import LargeBatchPlan, UploadsPlan
from bench.batch.simultaneous_uploads import measure as measure_uploads
from bench.errors import exit_status
from bench.history import report as history_report
from bench.history import run as history_run
from bench.history.effect import measure as measure_effect
from bench.history.plan import HistoryPlan
from bench.local import report as local_report
from bench.operator import leases, rounds
from bench.plan import FULL, FULL_BACKLOG, QUICK, QUICK_BACKLOG
from bench.report import uploads as uploads_report
from bench.report import writer
from bench.soak import report as soak_report
from bench.soak.plan import SoakPlan
from bench.soak.run import measure as measure_soak


def main(arguments: list[str]) -> int:
    """Run the benchmark that the arguments select, and return the exit status."""
    return exit_status(lambda: _run(arguments))


def _run(arguments: list[str]) -> None:
    quick, write = (os.environ.get(name) == "1" for name in ("QUICK", "WRITE"))
    match arguments:
        case []:
            uvloop.run(compare.measure(QUICK if quick else FULL))
            print(writer.write(REPOSITORY, to_docs=write))
        case ["backlog"]:
            uvloop.run(measure_backlog(QUICK_BACKLOG if quick else FULL_BACKLOG))
            print(writer.write(REPOSITORY, to_docs=write))
        case ["batch"]:
            uvloop.run(measure_batch(LargeBatchPlan.from_env(os.environ)))
            print(writer.write(REPOSITORY, to_docs=write))
        case ["history-cluster"]:
            uvloop.run(measure_effect(HistoryPlan.from_env(os.environ)))
            print(writer.write(REPOSITORY, to_docs=write))
        case ["soak"]:
            soak = uvloop.run(measure_soak(SoakPlan.from_env(os.environ)))
            print(soak_report.write(REPOSITORY, soak, to_docs=write))
            soak_report.require_reached(soak)
        case ["uploads"]:
            uploads = uvloop.run(measure_uploads(UploadsPlan.from_env(os.environ)))
            print(uploads_report.write(REPOSITORY, uploads, to_docs=write))
        case _:
            _run_without_cluster(arguments, to_docs=write)


def _run_without_cluster(arguments: list[str], *, to_docs: bool) -> None:
    match arguments:
        case ["api"]:
            print(memory.report(), cache.report(), sep="\n\n")
        case ["auth"]:
            print(auth.report())
        case ["events"]:
            print(events.report())
        case ["history"]:
            history = history_run.measure(HistoryPlan.from_env(os.environ))
            print(history_report.write(REPOSITORY, history, to_docs=to_docs))
        case ["local"]:
            print(local_report.measure(REPOSITORY, to_docs=to_docs))
        case ["ocr"]:
            print(ocr.measure(REPOSITORY, to_docs=to_docs))
        case ["operator"]:
            print(rounds.report(), leases.report(), sep="\n\n")
        case _:
            print(__doc__, file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
