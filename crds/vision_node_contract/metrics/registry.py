"""A registry of metrics, and the metrics that the API and the operator have in common."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..clients.bucket_errors import FailureKey


class _ReadGauge(Collector):
    def __init__(self, name: str, documentation: str, read: Callable[[], float | None]) -> None:
        self._name = name
        self._documentation = documentation
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge, which has no sample if its value is unknown."""
        family = GaugeMetricFamily(self._name, self._documentation)
        value = self._read()
        if value is not None:
            family.add_metric([], value)

        yield family


class MetricsRegistry:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def add_gauge(self, name: str, documentation: str, read: Callable[[], float | None]) -> None:
        """Add a gauge whose value is obtained by calling `read` on each scrape.

        While `read` returns None, the gauge is absent.
        """
        self.registry.register(_ReadGauge(name, documentation, read))

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
