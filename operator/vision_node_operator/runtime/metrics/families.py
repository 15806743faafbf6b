"""Turn the operator's statistics into metrics for Prometheus."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from vision_node_contract.models.imagejob import Phase

from ...decisions.queue_states import BatchStates, QueueState
from ...decisions.worker_states import STATES, WorkerState
from ...state.statistics.durations import Durations
from ...state.statistics.job_statistics import DescriberStatistics

WATCH_AGE = (
    "Time since the operator last received an event or a complete list of this kind; for "
    "imagejobs, also a bookmark. It lists every kind at least every five minutes, so more than "
    "eleven minutes mean that its view of these objects is out of date."
)

Statistics = Mapping[str, DescriberStatistics]
"""Statistics by the Describer's name in metrics."""


def of_queues(queues: Mapping[str, QueueState]) -> Iterator[Metric]:
    """Yield the metrics of the queues, by the Describer's name in metrics."""
    text = "Queued ImageJobs of a Describer."
    depths = GaugeMetricFamily("vision_node_queue_depth", text, labels=["describer"])
    text = "Time since the creation of a Describer's oldest queued ImageJob; 0 if there is none."
    ages = GaugeMetricFamily("vision_node_queue_oldest_age_seconds", text, labels=["describer"])

    for name, queue in queues.items():
        depths.add_metric([name], queue.depth)
        ages.add_metric([name], queue.oldest_seconds)

    yield depths
    yield ages


def of_jobs(statistics: Statistics) -> Iterator[Metric]:
    """Yield the metrics about what happened to ImageJobs."""
    text = (
        "Time that ImageJobs took in a phase: queued until the first assignment, then processing "
        "until the end, including further attempts."
    )
    durations = [
        ((name, phase), found)
        for name, each in statistics.items()
        for phase, found in (("queued", each.queued), ("processing", each.processing))
    ]
    labels = ["describer", "phase"]
    yield histogram("vision_node_imagejob_phase_duration_seconds", text, labels, durations)

    text = "ImageJobs that finished, by outcome (done or failed) and reason."
    finished = [
        ((name, outcome, reason), count)
        for name, each in statistics.items()
        for (outcome, reason), count in sorted(each.finished.items())
    ]
    labels = ["describer", "outcome", "reason"]
    yield counter("vision_node_imagejobs_finished", text, labels, finished)

    text = "Attempts after which the ImageJob was queued again, by reason."
    requeued = [
        ((name, reason), count)
        for name, each in statistics.items()
        for reason, count in sorted(each.requeued.items())
    ]
    yield counter("vision_node_attempts_requeued", text, ["describer", "reason"], requeued)

    text = "Attempts that were lost and do not count toward maxAttempts, by cause."
    lost = [
        ((name, cause), count)
        for name, each in statistics.items()
        for cause, count in sorted(each.lost.items())
    ]
    yield counter("vision_node_attempts_lost", text, ["describer", "cause"], lost)


def of_workers(workers: Mapping[tuple[str, WorkerState], int], describers: Iterable[str]) -> Metric:
    """Return the numbers of workers, including zeros, by Describer and by what they do."""
    text = "Workers by what they do. Those that are idle or busy serve."
    family = GaugeMetricFamily("vision_node_workers", text, labels=["describer", "state"])
    for name in sorted({*describers, *(name for name, _ in workers)}):
        for state in STATES:
            family.add_metric([name, state], workers.get((name, state), 0))

    return family


def of_phases(numbers: Mapping[Phase, int]) -> Metric:
    """Return the numbers of ImageJobs by phase."""
    text = "ImageJobs that exist, and take space in etcd, by phase."
    family = GaugeMetricFamily("vision_node_imagejobs", text, labels=["phase"])
    for phase, number in numbers.items():
        family.add_metric([phase], number)

    return family


def of_batches(states: BatchStates, describers: Statistics) -> Iterator[Metric]:
    """Yield the metrics about ImageBatches."""
    text = "ImageBatches that exist, by phase."
    batches = GaugeMetricFamily("vision_node_imagebatches", text, labels=["phase"])
    for phase in get_args(Phase):
        batches.add_metric([phase], states.phases[phase])
    yield batches

    text = "Images of ImageBatches that have neither been described nor failed."
    left = GaugeMetricFamily("vision_node_batch_images_left", text, labels=["describer"])
    for name in sorted({*describers, *states.images_left}):
        left.add_metric([name], states.images_left[name])
    yield left

    text = "ImageBatches that wait at present, by Describer and reason."
    labels = ["describer", "reason"]
    waiting = GaugeMetricFamily("vision_node_imagebatches_waiting", text, labels=labels)
    for values, number in sorted(states.waiting.items()):
        waiting.add_metric(values, number)
    yield waiting

    text = "Images of ImageBatches that have been counted, by outcome (done or failed)."
    counted = [
        ((name, outcome), count)
        for name, each in describers.items()
        for outcome, count in each.batch_images.items()
    ]
    yield counter("vision_node_batch_images", text, ["describer", "outcome"], counted)


def histogram(
    name: str,
    documentation: str,
    labels: Sequence[str],
    rows: Iterable[tuple[Sequence[str], Durations]],
) -> Metric:
    """Return a histogram; each row has the values of the labels, and the durations."""
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for values, durations in rows:
        family.add_metric(values, [*durations.buckets()], durations.total_seconds)

    return family


def counter(
    name: str,
    documentation: str,
    labels: Sequence[str],
    rows: Iterable[tuple[Sequence[str], int]],
) -> Metric:
    """Return a counter; each row has the values of the labels, and the count."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)

    return family
