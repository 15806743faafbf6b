"""A registry of metrics, and the metrics that API and operator have in common."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ..clients.bucket_errors import FailureKey


class MetricsRegistry:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def add_gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is obtained by calling `read` on each scrape."""
        Gauge(name, documentation, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def storage_errors(counts: Mapping[FailureKey, int]) -> Metric:
    """Return the counter of the bucket's errors, by reason and by the bucket's own code."""
    text = (
        "Requests to the bucket that failed, by reason and by the bucket's own error code or HTTP "
        "status, which is empty if the bucket did not answer."
    )
    family = CounterMetricFamily("vision_node_storage_errors", text, labels=["reason", "code"])
    for (reason, code), count in sorted(counts.items()):
        family.add_metric([reason, code], count)

    return family


def watch_ages(ages: Mapping[str, float], meaning: str) -> Metric:
    """Return the gauge of the seconds since each watch, by resource, was last active."""
    family = GaugeMetricFamily("vision_node_watch_age_seconds", meaning, labels=["resource"])
    for resource, age in ages.items():
        family.add_metric([resource], age)

    return family
