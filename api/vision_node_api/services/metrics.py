"""What Prometheus is told: no job ids, no names of users, no secrets, and few label values.

What is known anyway is read when Prometheus asks (`StateCollector`); what happens is counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from .health import Health

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Prometheus' text format, which every scraper reads."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets of durations: a poll takes less than a millisecond, a slow upload a minute."""

ACCEPTED = "Accepted"
"""Outcome of a submit that was not refused; all others are the reasons of problem documents."""


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.submits = Counter(
            "vision_node_submits",
            "Submits by outcome: Accepted, or the reason of the refusal.",
            ["outcome"],
            registry=self.registry,
        )
        self.requests = Histogram(
            "vision_node_http_request_duration_seconds",
            "Time from a request's headers to the end of its answer.",
            ["method", "route", "status"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.submits.labels(ACCEPTED)

    def add_gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Add a number that is read when Prometheus asks, such as bytes in use."""
        Gauge(name, meaning, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class StateCollector(Collector):
    """Reads how the replica fares.

    Args:
        health: Of the bucket and the API server.
        unfinished: Returns how many jobs are queued or in processing.
        heard: When each watch was last heard of, in seconds of monotonic time by path.
    """

    def __init__(
        self, health: Health, unfinished: Callable[[], int], heard: Mapping[str, float]
    ) -> None:
        self._health = health
        self._unfinished = unfinished
        self._heard = heard

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        states = self._health.states()
        for name, meaning in (("storage", "the bucket"), ("kubernetes", "the API server")):
            told = f"Whether {meaning} answered this replica's last request or check well."
            yield GaugeMetricFamily(f"vision_node_{name}_up", told, float(states[name].is_ok))

        yield self._storage_errors()
        unfinished = "Jobs that are queued or in processing, as this replica's watch shows them."
        yield GaugeMetricFamily("vision_node_unfinished_jobs", unfinished, self._unfinished())
        yield self._watch_ages()

    def _storage_errors(self) -> Metric:
        told = "Requests and checks that the bucket refused or did not answer, by reason."
        family = CounterMetricFamily("vision_node_storage_errors", told, labels=["reason"])
        for reason, count in sorted(self._health.checks.storage.errors.items()):
            family.add_metric([reason], count)
        return family

    def _watch_ages(self) -> Metric:
        told = "Time since a watch was last heard of; more than two minutes: jobs' states are old."
        family = GaugeMetricFamily("vision_node_watch_age_seconds", told, labels=["resource"])
        now = time.monotonic()
        for watch in self._health.watches:
            if (heard := self._heard.get(watch.path)) is not None:
                family.add_metric([watch.resource], now - heard)
        return family
