"""Read the operator's metrics on each scrape, from data that it keeps anyway."""

import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube
from vision_node_contract.metrics.registry import MetricsRegistry, storage_errors, watch_ages
from vision_node_contract.names import PLURAL, path_of

from ...decisions.queue_states import batch_states, queue_states
from ...decisions.worker_states import count_workers
from ...settings import Settings
from ..clock import utcnow
from ..reconciler import Reconciler
from . import families


def operator_metrics(
    reconciler: Reconciler, settings: Settings, kube: Kube, store: Bucket
) -> MetricsRegistry:
    """Return the operator's metrics. Further gauges can be added with add_gauge()."""
    metrics = MetricsRegistry()
    metrics.registry.register(OperatorCollector(reconciler, settings, kube, store))
    return metrics


class OperatorCollector(Collector):
    """Reads the operator's state on each scrape. Describers that were deleted have no series."""

    def __init__(
        self, reconciler: Reconciler, settings: Settings, kube: Kube, store: Bucket
    ) -> None:
        self._reconciler = reconciler
        self._settings = settings
        self._kube = kube
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        state, now = self._reconciler.state, utcnow()
        statistics = state.statistics.by_describer

        yield from families.of_queues(queue_states(state, now))
        yield from families.of_jobs(statistics)
        yield families.of_workers(count_workers(state, now), statistics)

        batches = batch_states(state)
        yield from families.of_batches(batches, statistics)

        phases = state.job_queue.by_phase()
        yield families.of_phases({it: phases[it] + batches.shards[it] for it in phases})
        text = "Maximum number of ImageJobs. At it, the API refuses submissions."
        yield GaugeMetricFamily("vision_node_imagejobs_limit", text, self._settings.max_imagejobs)

        yield storage_errors(self._store.failures)
        yield watch_ages(self._watch_ages(), families.WATCH_AGE)
        yield from self._loop()

    def _watch_ages(self) -> dict[str, float]:
        now = utcnow()
        heard = self._reconciler.last_heard.items()
        ages: dict[str, float] = {kind: (now - at).total_seconds() for kind, at in heard}

        # kopf reports only the events of its watches. The operator's own watch, of ImageJobs, is
        # also known to be alive when a bookmark arrives.
        active = self._kube.last_activity.get(path_of(PLURAL, self._settings.namespace))
        if active is not None:
            age = time.monotonic() - active
            ages[PLURAL] = min(age, ages.get(PLURAL, age))

        return ages

    def _loop(self) -> Iterator[Metric]:
        reconciler = self._reconciler
        text = "Time since the operator last began to decide. It decides at least once a second."
        age = reconciler.seconds_since_round()
        yield GaugeMetricFamily("vision_node_last_round_age_seconds", text, age)

        text = "Time that a round of decisions took, without the writes that it started."
        rounds = [((), reconciler.round_durations)]
        yield families.histogram("vision_node_round_duration_seconds", text, [], rounds)

        executor = reconciler.executor
        text = "Writes to the API server that have started and not ended."
        yield GaugeMetricFamily("vision_node_writes_in_flight", text, executor.in_flight)

        text = "Writes to the API server by action and outcome. Conflicts are normal."
        results = sorted(executor.results.items())
        yield families.counter("vision_node_writes", text, ["action", "outcome"], results)
