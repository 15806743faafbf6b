"""Describe all labeled pictures, and judge the descriptions."""

import sys
import time
from collections.abc import Sequence

from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError
from vision_node_describer.describers import load
from vision_node_describer.describers.interface import Describer

from bench.errors import BenchError
from bench.local import altered, drawn, packages, photographs
from bench.local.broader import from_classes
from bench.local.judge import Broader, Judged, judge
from bench.local.statements import statements
from bench.local.truth import Group, Sample


def samples() -> list[Sample]:
    """Return all labeled and drawn pictures."""
    found = photographs.samples(packages.context())
    originals = [sample for sample in found if sample.group is Group.PHOTOGRAPH]
    return [*found, *altered.samples(originals), *drawn.samples()]


def measure(chosen: Sequence[Sample]) -> list[Judged]:
    """Describe the pictures, and judge the descriptions. This takes minutes.

    Raises:
        BenchError: A picture could not be described.
    """
    from vision_node_local_models import CLASSES  # noqa: PLC0415  # only this function needs it

    describer, broader = load("local"), from_classes(CLASSES)
    return [_measured(describer, broader, sample) for sample in chosen]


def _measured(describer: Describer, broader: Broader, sample: Sample) -> Judged:
    image = sample.load()
    before = time.perf_counter()
    try:
        description = describer.describe(image, Options())
    except DescribeError as error:
        raise BenchError(f"{sample.name}: {error.reason}: {error.message}") from error

    seconds = time.perf_counter() - before
    if not isinstance(description, Description):
        raise BenchError("the describer is asynchronous")

    judged = judge_all(sample, description, broader, seconds)
    print(f"{sample.name}: {judged.said}", file=sys.stderr)
    return judged


def judge_all(
    sample: Sample, description: Description, broader: Broader, seconds: float = 0.0
) -> Judged:
    """Judge everything that a description says about a picture."""
    verdicts = {
        statement: judge(statement, sample.truth, broader) for statement in statements(description)
    }
    return Judged(sample, description.caption, verdicts, seconds)
