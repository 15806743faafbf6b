"""Metrics for Prometheus.

They contain no job ids, user names or secrets, and have few label values. Events are counted as
they happen (`Metrics`), and the replica's state is read on each scrape (`StateCollector`).
"""

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from vision_node_contract.metrics.registry import MetricsRegistry, storage_errors, watch_ages

from .health import Health
from .history.history_check import HistoryCheck

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Histogram buckets in seconds. A poll takes less than a millisecond, and a slow upload takes a
minute."""

ACCEPTED = "Accepted"
"""Outcome of an accepted submission. All other outcomes are reasons from problem documents."""


OWNER_REASONS = frozenset(
    {
        "RateLimited",
        "TooManyJobsOfOwner",
        "OwnerShareUsed",
        "DailyBytesUsed",
        "DailyTokensUsed",
    }
)
"""Reasons of requests that are refused because of a limit of their owner."""


class Metrics(MetricsRegistry):
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        super().__init__()

        self.submits = Counter(
            "vision_node_submits",
            "Submissions by outcome, which is Accepted or the reason for the refusal.",
            ["outcome"],
            registry=self.registry,
        )
        self.submits.labels(ACCEPTED)

        self.owner_refusals = Counter(
            "vision_node_owner_limit_refusals",
            "Requests refused because of a limit of their owner, by reason.",
            ["reason"],
            registry=self.registry,
        )
        for reason in OWNER_REASONS:
            self.owner_refusals.labels(reason)

        self.refused = Counter(
            "vision_node_refused_requests",
            "Requests that were refused before the API handled them, by reason: no key, a wrong "
            "one, one whose scopes are not enough, or one that could not be checked.",
            ["reason"],
            registry=self.registry,
        )

        self.requests = Histogram(
            "vision_node_http_request_duration_seconds",
            "Time from a request's headers to the end of its response, without preferred waits; to "
            "its start for a stream of events.",
            ["method", "route", "status"],
            buckets=SECONDS,
            registry=self.registry,
        )


class StateCollector(Collector):
    """Reads the replica's state on each scrape.

    Args:
        health: Health of the bucket, the API server and the watches.
        unfinished: Function that returns the number of jobs that are queued or processing.
        last_activity: Monotonic time, in seconds, of each watch's last event, by path.
    """

    def __init__(
        self, health: Health, unfinished: Callable[[], int], last_activity: Mapping[str, float]
    ) -> None:
        self._health = health
        self._unfinished = unfinished
        self._last_activity = last_activity

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the replica's current state."""
        states = self._health.states()
        for name, server in (("storage", "the bucket"), ("kubernetes", "the API server")):
            text = f"Whether this replica's last request to {server} succeeded (1) or failed (0)."
            yield GaugeMetricFamily(f"vision_node_{name}_up", text, float(states[name].is_ok))

        if history := self._health.history:
            text = "Whether the last check of the history succeeded (1) or failed (0)."
            is_up = float(history.state.is_ok)
            yield GaugeMetricFamily("vision_node_history_up", text, is_up)
            yield _history_requests(history)

        text = "Jobs that are queued or processing, according to this replica's watch."
        yield GaugeMetricFamily("vision_node_unfinished_jobs", text, self._unfinished())

        yield storage_errors(self._health.checks.storage.errors)
        yield self._watch_ages()

    def _watch_ages(self) -> Metric:
        text = (
            "Time since the last event of a watch. If it exceeds two minutes, the states of jobs "
            "may be out of date."
        )
        now, last = time.monotonic(), self._last_activity
        followed = (*self._health.watches, self._health.batches, self._health.keys)
        watches = {watch.resource: watch.path for watch in followed if watch}
        ages = {name: now - last[path] for name, path in watches.items() if path in last}

        return watch_ages(ages, text)


def _history_requests(history: HistoryCheck) -> Metric:
    """Return the counter of the requests to the history."""
    text = "Requests to the history by outcome, which is ok or the reason of the error."
    family = CounterMetricFamily("vision_node_history_requests", text, labels=["outcome"])
    for outcome, count in sorted(history.outcomes.items()):
        family.add_metric([outcome], count)

    return family
