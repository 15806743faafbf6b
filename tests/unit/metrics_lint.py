"""Check metrics as `promtool check metrics` does."""

import re
from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

NAME = re.compile(r"vision_node_[a-z][a-z0-9_]*")

UNITS = re.compile(r"_(milliseconds|ms|minutes|hours|days|kilobytes|megabytes|mib|percent)(_|$)")
"""Units in place of the base units, which are seconds, bytes and ratios."""

IDENTIFYING = {"id", "job", "job_id", "name", "owner", "image", "file", "url", "pod", "uid"}
"""Labels of which there may be any number of values."""

MAX_SERIES = 500
"""Maximum number of series of one metric with a few Describers."""


def lint(text: str) -> list[str]:
    """Return the problems of metrics in Prometheus' text format."""
    families = list(text_string_to_metric_families(text))
    assert families
    repeated = [name for name, n in Counter(f.name for f in families).items() if n > 1]

    return [f"{name} appears twice" for name in repeated] + [
        f"{family.name} {problem}" for family in families for problem in _problems(family)
    ]


def _problems(family: Metric) -> Iterator[str]:
    if not NAME.fullmatch(family.name):
        yield "is not a name of this project"
    if UNITS.search(family.name):
        yield "is not in a base unit"
    if not family.documentation.endswith("."):
        yield "has no sentence as help"
    if family.type == "unknown":
        yield "has no type"
    if family.type != "counter" and family.name.endswith(("_total", "_count", "_sum", "_bucket")):
        yield f"has a suffix that is reserved, but is a {family.type}"
    if family.type == "histogram" and not family.name.endswith("_seconds"):
        yield "has no unit"
    if family.type == "counter" and any(not s.name.endswith("_total") for s in family.samples):
        yield "has no _total"
    if len(family.samples) > MAX_SERIES:
        yield f"has {len(family.samples)} series"
    if labels := {label for s in family.samples for label in s.labels} & IDENTIFYING:
        yield f"has the labels {labels}"
