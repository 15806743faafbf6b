"""Tests of the benchmark's calculations with sample data."""

import itertools

import pytest
from bench import stats
from bench.backlog import completion_times, drain
from bench.cores import Cores, assign_cores
from bench.load import arrivals
from bench.measure import metrics, node, processes
from bench.measure.pictures_1080p import Picture
from bench.results import Sample
from bench.rounds import DESCRIBERS

METRICS = """\
# HELP apiserver_request_total Counter of apiserver requests
apiserver_request_total{code="201",resource="imagejobs",subresource="",verb="POST"} 10
apiserver_request_total{code="200",resource="imagejobs",subresource="status",verb="PATCH"} 19
apiserver_request_total{code="409",resource="imagejobs",subresource="status",verb="PATCH"} 2
apiserver_request_total{code="422",resource="imagejobs",subresource="status",verb="PATCH"} 1
apiserver_request_total{code="200",resource="imagejobs",subresource="",verb="GET"} 500
apiserver_request_total{code="200",resource="imagejobs",subresource="",verb="DELETE"} 7
apiserver_request_total{code="200",resource="leases",subresource="",verb="PATCH"} 70
apiserver_request_total_other{code="200",resource="imagejobs",verb="PATCH"} 1000
apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 2.5e+06
"""

WORKER, POD = "a" * 64, "podb97f2b24"
V1_CPU, V1_MEMORY = "/sys/fs/cgroup/cpuacct/kubepods", "/sys/fs/cgroup/memory/kubepods"
V2_PODS = "/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice"
V2_WORKER = f"{V2_PODS}/{POD}.slice/cri-containerd-{WORKER}.scope"


def sample(**given: object) -> Sample:
    """Return a sample with default values for all fields that are not given."""
    defaults = {
        "system": "vision-node",
        "load": "8 clients",
        "describer": "metadata",
        "round": 0,
        "images": 10,
    }

    return Sample(**{**defaults, "seconds": 2.0, "latencies": [0.1, 0.2, 0.3], **given})  # type: ignore[arg-type]


@pytest.mark.parametrize("describer", DESCRIBERS)
def test_every_submission_names_its_describer(describer: str) -> None:
    """The default describer runs models, so its times can't be compared with Celery's."""
    form = Picture(b"JPEG").form(describer)
    assert f'name="describer"\r\n\r\n{describer}\r\n'.encode() in form


def test_submission_can_have_additional_fields() -> None:
    form = Picture(b"JPEG").form("nothing", ttlSeconds="60")
    assert b'name="ttlSeconds"\r\n\r\n60\r\n--' in form
    assert form.endswith(b"\r\n\r\nJPEG\r\n--vision-node-bench--\r\n")


def test_only_describers_without_models_are_compared() -> None:
    assert DESCRIBERS == ("metadata", "nothing")


def test_imagejob_writes_exclude_deletions_and_other_resources() -> None:
    assert metrics.imagejob_writes(METRICS) == metrics.Writes(accepted=29, conflicts=2, refused=1)


def test_writes_of_batches_include_deletions_and_imagebatches() -> None:
    batches = 'resource="imagebatches"'
    more = [
        f'apiserver_request_total{{code="201",{batches},verb="POST"}} 1',
        f'apiserver_request_total{{code="200",{batches},subresource="status",verb="PATCH"}} 3',
        f'apiserver_request_total{{code="409",{batches},subresource="status",verb="PATCH"}} 5',
        f'apiserver_request_total{{code="200",{batches},verb="WATCH"}} 50',
        'apiserver_request_total{code="200",resource="imagejobs",verb="DELETECOLLECTION"} 100',
    ]
    assert metrics.batch_writes("\n".join([METRICS, *more])) == 29 + 7 + 1 + 3 + 100


def test_writes_between_two_readings_are_counted() -> None:
    before, after = metrics.Writes(10, 1, 0), metrics.Writes(40, 3, 0)
    assert after.since(before) == metrics.Writes(30, 2, 0)


def test_metric_names_are_matched_in_full() -> None:
    assert len(list(metrics.series(METRICS, "apiserver_request_total"))) == 7


def test_etcd_size_is_read() -> None:
    assert metrics.database_bytes(METRICS) == 2_500_000


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            [
                f"{V1_CPU}/burstable/{POD}/{WORKER}/cpuacct.usage:2500000000",
                f"{V1_CPU}/burstable/{POD}/cpuacct.usage:2600000000",
                f"{V1_CPU}/cpuacct.usage:9000000000",
                "/sys/fs/cgroup/cpuacct/cpuacct.usage:12000000000",
                f"{V1_MEMORY}/burstable/{POD}/{WORKER}/memory.usage_in_bytes:5000",
                f"{V1_MEMORY}/burstable/{POD}/{WORKER}/memory.stat:total_inactive_file 1000",
                f"{V1_MEMORY}/burstable/{POD}/{WORKER}/memory.stat:total_rss 3000",
            ],
            id="v1",
        ),
        pytest.param(
            [
                f"{V2_WORKER}/cpu.stat:usage_usec 2500000",
                f"{V2_PODS}/{POD}.slice/cpu.stat:usage_usec 2600000",
                f"{V2_PODS}/cpu.stat:usage_usec 9000000",
                "/sys/fs/cgroup/cpu.stat:usage_usec 12000000",
                f"{V2_WORKER}/memory.current:5000",
                f"{V2_WORKER}/memory.stat:inactive_file 1000",
                f"{V2_WORKER}/memory.stat:anon 3000",
            ],
            id="v2",
        ),
    ],
)
def test_usage_is_the_same_with_both_cgroup_versions(lines: list[str]) -> None:
    found = node.parse(lines)
    assert found[WORKER] == node.Usage(2.5, memory_bytes=4000, anonymous_bytes=3000)
    assert (found[node.PODS].cpu_seconds, found[node.NODE].cpu_seconds) == (9, 12)
    assert set(found) == {WORKER, node.PODS, node.NODE}


def test_cpu_time_is_divided_among_components_and_the_rest() -> None:
    before = {"a": node.Usage(1), node.PODS: node.Usage(10), node.NODE: node.Usage(20)}
    after = {
        "a": node.Usage(3),
        "b": node.Usage(1),
        "kubelet": node.Usage(2),
        node.PODS: node.Usage(15),
        node.NODE: node.Usage(28),
    }
    spent = node.cpu_between(before, after, {"a": "api", "b": "workers"})

    assert spent == {
        "api": 2,
        "workers": 1,
        "kubelet": 2,
        "containerd": 0,
        "other pods": 2,
        "rest of the node": 1,
    }


def test_memory_of_a_component_is_the_sum_of_its_containers() -> None:
    now = {"a": node.Usage(0, 5, 1), "b": node.Usage(0, 7, 2), "c": node.Usage(0, 100, 50)}
    names = {"a": "workers", "b": "workers"}
    assert node.memory(now, names) == {"workers": 12}
    assert node.anonymous_memory(now, names) == {"workers": 3}


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"app.kubernetes.io/component": "worker"}, "workers"),
        ({"app.kubernetes.io/component": "minio"}, "minio"),
        ({"component": "etcd", "tier": "control-plane"}, "etcd"),
        ({"k8s-app": "kube-dns"}, "kube-dns"),
        ({}, "its-own-name"),
    ],
)
def test_component_comes_from_the_pod_labels(labels: dict[str, str], name: str) -> None:
    assert node.component({"name": "its-own-name", "labels": labels}) == name


def test_process_name_may_contain_spaces_and_parentheses() -> None:
    fields = "S 41 1 1 0 -1 4194560 0 0 0 0 100 50 25 25 20 0 1 0"
    assert processes.parse_stat(f"42 (a (b) c) {fields}") == processes.Process(
        parent=41, cpu_seconds=200 / processes.TICKS_PER_SECOND
    )


def test_systems_get_two_cores_and_the_driver_gets_the_others() -> None:
    assert assign_cores([3, 0, 2, 1]) == Cores(frozenset({0, 1}), frozenset({2, 3}))


def test_systems_and_driver_share_the_cores_if_only_two_exist() -> None:
    cores = assign_cores([0, 1])
    assert cores.system == cores.driver == {0, 1}
    assert not cores.pinned


def test_arrivals_have_the_requested_rate_and_are_reproducible() -> None:
    moments = list(arrivals(50, 100, seed=3))
    assert moments == list(arrivals(50, 100, seed=3)) == sorted(moments)
    assert len(moments) == pytest.approx(5000, rel=0.05)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert sum(gap > 1 / 50 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)]
)
def test_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert stats.percentile(list(range(100, 0, -1)), share) == value


def test_spread_has_median_minimum_and_maximum() -> None:
    assert stats.spread([3, 1, 10]) == stats.Spread(3, 1, 10)
    assert stats.spread([]) is None


def test_ratio_compares_samples_of_the_same_round() -> None:
    ours = [sample(round=0, seconds=2), sample(round=1, seconds=8), sample(round=2, seconds=3)]
    theirs = [sample(round=0, seconds=1), sample(round=1, seconds=4)]
    assert stats.ratio(ours, theirs, stats.duration) == stats.Spread(2, 2, 2)


def test_backlog_throughput_excludes_the_wait_for_the_first_job() -> None:
    found = drain([5.0, 5.5, 6.0, 6.5, 7.0], {})
    assert (found.images, found.images_per_second) == (5, 2)


def test_completion_times_exclude_unfinished_imagejobs() -> None:
    jobs = [
        {"status": {"phase": "done", "completionTime": "1970-01-01T00:00:01.500000Z"}},
        {"status": {"phase": "queued"}},
    ]
    assert completion_times(jobs) == [1.5]


CURVE = [(0.0, 0), (10.0, 0), (12.0, 20), (20.0, 100), (70.0, 600), (150.0, 1000), (151.0, 1000)]


@pytest.mark.parametrize(
    ("count", "seconds"), [(20, 12), (60, 16), (100, 20), (350, 45), (1000, 150)]
)
def test_moment_of_a_count_is_interpolated(count: float, seconds: float) -> None:
    assert stats.moment(CURVE, count) == seconds


def test_tenths_of_a_curve_begin_with_the_first_images() -> None:
    found = stats.tenths(CURVE)
    assert [(first, last) for first, last, _ in found] == [
        (20, 100),
        *((100 * number, 100 * (number + 1)) for number in range(1, 10)),
    ]
    assert [rate for _, _, rate in found] == pytest.approx([10] * 6 + [5] * 4)
