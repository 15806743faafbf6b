"""The archiver's metrics, read on each scrape."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube
from vision_node_contract.metrics.registry import MetricsRegistry, storage_errors, watch_ages

from .batch_history.batch_history import BatchHistory
from .history.holds import REASONS
from .image_jobs import ImageJobWork
from .jobs.history_jobs import HistoryJobs
from .webhooks.counts import WebhookCounts

WATCH_AGE = "Time since the archiver's watch of this resource was last active."


def archiver_metrics(
    kube: Kube, bucket: Bucket, image_jobs: ImageJobWork, batches: BatchHistory | None
) -> MetricsRegistry:
    """Return the archiver's metrics; `batches` is None without a database."""
    metrics = MetricsRegistry()
    metrics.registry.register(ArchiverCollector(kube, bucket, image_jobs, batches))
    return metrics


class ArchiverCollector(Collector):
    """Reads the archiver's counters, and what it knows about the database."""

    def __init__(
        self, kube: Kube, bucket: Bucket, image_jobs: ImageJobWork, batches: BatchHistory | None
    ) -> None:
        self._kube = kube
        self._bucket = bucket
        self._counts = image_jobs.counts
        self._jobs = image_jobs.jobs
        self._webhooks = image_jobs.deliverer.counts if image_jobs.deliverer else None
        self._batches = batches

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield storage_errors(self._bucket.failures)
        now = time.monotonic()
        active = self._kube.last_activity.items()
        yield watch_ages({path.rpartition("/")[2]: now - at for path, at in active}, WATCH_AGE)

        text = "When the last sweep of the objects of ImageJobs ended, as a Unix time."
        swept = self._counts.swept_at
        family = GaugeMetricFamily("vision_node_sweep_timestamp_seconds", text)
        if swept is not None:
            family.add_metric([], swept.timestamp())
        yield family

        if self._jobs is not None:
            yield from self._of_history(self._jobs)
        if self._batches is not None:
            yield from _of_batches(self._batches)
        if self._webhooks is not None:
            yield from _of_webhooks(self._webhooks)

    def _of_history(self, jobs: HistoryJobs) -> Iterator[Metric]:
        text = "Age of the oldest finished ImageJob that is not archived; 0 if all are."
        lag = jobs.lag(datetime.now(UTC)).total_seconds()
        yield GaugeMetricFamily("vision_node_archive_lag_seconds", text, lag)
        text = "Finished ImageJobs that are not archived yet."
        yield GaugeMetricFamily("vision_node_archive_waiting", text, len(jobs.archiver.queue))
        text = "Rows of images in the history, estimated by the database."
        yield GaugeMetricFamily("vision_node_history_rows", text, jobs.link.rows)
        text = "Whether the database answers: 1 if it does."
        yield GaugeMetricFamily("vision_node_database_up", text, int(jobs.link.is_up))

        counts = self._counts
        text = "ImageJobs that were written to the history."
        yield CounterMetricFamily("vision_node_archived", text, counts.archived)
        text = "ImageJobs that were deleted from etcd while their data stays."
        yield CounterMetricFamily("vision_node_evicted", text, counts.evicted)
        text = "ImageJobs whose data was deleted."
        yield CounterMetricFamily("vision_node_deleted", text, counts.deleted)
        text = (
            "Rows that PostgreSQL refused, which were stored without their results or not at all."
        )
        yield CounterMetricFamily("vision_node_refused_rows", text, counts.refused)
        text = "Finished ImageJobs that are not archived, because this release can't read them."
        yield CounterMetricFamily("vision_node_unreadable_imagejobs", text, counts.unreadable)

        text = "Why some work is not done: 1 while the reason applies."
        family = GaugeMetricFamily("vision_node_hold", text, labels=["reason"])
        reasons = {it.reason for it in jobs.link.holds}
        for reason in REASONS:
            family.add_metric([reason], int(reason in reasons))
        yield family


def _of_batches(batches: BatchHistory) -> Iterator[Metric]:
    counts = batches.counts
    text = "ImageBatches whose results are not archived completely yet."
    yield GaugeMetricFamily("vision_node_archive_waiting_batches", text, batches.waiting)
    text = "Images of batches that were written to the history."
    yield CounterMetricFamily("vision_node_archived_batch_images", text, counts.archived)
    text = "Rows of images of batches that PostgreSQL refused."
    yield CounterMetricFamily("vision_node_refused_batch_rows", text, counts.refused)
    text = "Objects with results of batches that are missing or were altered."
    yield CounterMetricFamily("vision_node_unreadable_results", text, counts.unreadable_objects)
    text = "ImageBatches that were deleted from etcd while their data stays."
    yield CounterMetricFamily("vision_node_evicted_batches", text, counts.evicted)
    text = "ImageBatches whose data was deleted."
    yield CounterMetricFamily("vision_node_deleted_batches", text, counts.deleted)


def _of_webhooks(counts: WebhookCounts) -> Iterator[Metric]:
    text = "Attempts to send a message to a callback, by outcome."
    family = CounterMetricFamily("vision_node_webhook_attempts", text, labels=["outcome"])
    outcomes = {"delivered": counts.delivered, "retried": counts.retried, "failed": counts.failed}
    for outcome, number in outcomes.items():
        family.add_metric([outcome], number)
    yield family

    text = "Messages to callbacks that are not delivered yet, up to 10,000."
    yield GaugeMetricFamily("vision_node_webhooks_pending", text, counts.backlog.count)
    text = "Age of the oldest message to a callback that is not delivered yet; 0 if all are."
    seconds = counts.backlog.oldest.total_seconds()
    yield GaugeMetricFamily("vision_node_webhook_oldest_pending_seconds", text, seconds)
