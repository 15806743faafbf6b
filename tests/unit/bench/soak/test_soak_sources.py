"""Tests of reading the state of the cluster: counts, etcd's JSON API and the bucket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from bench.arena import Arena
from bench.errors import BenchError
from bench.measure import node
from bench.measure.kube_api import KubeApi
from bench.soak.etcd import Etcd
from bench.soak.results import EtcdSize, Reading
from bench.soak.sources import (
    ClusterSource,
    count_imagejobs,
    count_objects_in,
    kept_containers,
    worker_pods,
)
from fakes.s3 import serving_s3
from unit.bench.soak.soak_fakes import FakeCluster

# Answers of etcd 3.6, without the fields that are not read.
STATUS = {"header": {"revision": "4711"}, "dbSize": "20480", "dbSizeInUse": "16384"}
METRICS = "# TYPE vision_node_archive_lag_seconds gauge\nvision_node_archive_lag_seconds 0.25\n"
COMPACTED = {"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"}


@asynccontextmanager
async def answering(
    answers: dict[str, tuple[int, Any]],
) -> AsyncIterator[tuple[aiohttp.ClientSession, list[tuple[str, str]]]]:
    """Serve fixed answers by path, and yield a session and the requests that it sends."""
    requests: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append((request.path_qs, await request.text()))
        status, body = answers[request.path]
        if isinstance(body, str):
            return web.Response(status=status, text=body)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield session, requests


async def test_etcds_size_is_read() -> None:
    async with answering({"/v3/maintenance/status": (200, STATUS)}) as (session, _):
        assert await Etcd(session).size() == EtcdSize(total_bytes=20_480, in_use_bytes=16_384)


async def test_etcd_is_compacted_at_its_newest_revision() -> None:
    answers = {"/v3/maintenance/status": (200, STATUS), "/v3/kv/compaction": (200, {})}
    async with answering(answers) as (session, requests):
        await Etcd(session).compact()

    path, body = requests[-1]
    assert path == "/v3/kv/compaction"
    assert json.loads(body) == {"revision": "4711", "physical": True}


async def test_etcd_is_defragmented() -> None:
    async with answering({"/v3/maintenance/defragment": (200, {})}) as (session, requests):
        await Etcd(session).defragment()

    assert requests == [("/v3/maintenance/defragment", "{}")]


async def test_etcds_error_is_shown() -> None:
    answers = {"/v3/maintenance/status": (200, STATUS), "/v3/kv/compaction": (400, COMPACTED)}
    async with answering(answers) as (session, _):
        with pytest.raises(BenchError, match=r"etcd: /v3/kv/compaction: 400 .*has been compacted"):
            await Etcd(session).compact()


@pytest.mark.parametrize(
    ("items", "metadata", "count"),
    [
        ([], {}, 0),
        ([{}], {}, 1),
        ([{}], {"continue": "x", "remainingItemCount": 10_799}, 10_800),
    ],
)
async def test_imagejobs_are_counted_with_one_request(
    items: list[Any], metadata: dict[str, Any], count: int
) -> None:
    path = "/apis/vision-node.dev/v1alpha1/namespaces/vision-node/imagejobs"
    page = {"items": items, "metadata": metadata}
    async with answering({path: (200, page)}) as (session, requests):
        assert await count_imagejobs(KubeApi(session)) == count

    assert requests == [(f"{path}?limit=1", "")]


async def test_unknown_number_of_imagejobs_is_an_error() -> None:
    path = "/apis/vision-node.dev/v1alpha1/namespaces/vision-node/imagejobs"
    page = {"items": [{}], "metadata": {"continue": "x"}}
    async with answering({path: (200, page)}) as (session, _):
        with pytest.raises(BenchError, match="remainingItemCount"):
            await count_imagejobs(KubeApi(session))


async def test_reading_combines_pods_cgroups_etcd_and_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pod(component: str, container: str) -> dict[str, Any]:
        labels = {"app.kubernetes.io/component": component}
        metadata = {"name": component, "namespace": "vision-node", "labels": labels}
        statuses = [{"containerID": f"containerd://{container}"}]
        ready = [{"type": "Ready", "status": "True"}]
        status = {"containerStatuses": statuses, "conditions": ready}
        return {"metadata": metadata, "status": status}

    usage = {"a": node.Usage(0, 5, 3), "b": node.Usage(0, 7, 4), "c": node.Usage(0, 9, 8)}
    usage["d"] = node.Usage(12.5, 1, 1)
    monkeypatch.setattr(node, "ask", lambda kind: usage)
    pods = {"items": [pod("api", "a"), pod("worker", "b")]}
    namespace = "namespaces/vision-node"
    answers = {
        "/api/v1/pods": (200, pods),
        f"/apis/vision-node.dev/v1alpha1/{namespace}/imagejobs": (
            200,
            {"items": [], "metadata": {}},
        ),
        f"/apis/batch/v1/{namespace}/jobs": (200, {"items": [{}, {}]}),
        f"/api/v1/{namespace}/pods/archiver:9090/proxy/metrics": (200, METRICS),
        "/v3/maintenance/status": (200, STATUS),
    }
    arena = cast("Arena", SimpleNamespace(kind=None))

    async with answering(answers) as (session, requests):
        source = ClusterSource(arena, KubeApi(session), Etcd(session), FakeCluster())
        first = await source.read(count_objects=False)
        pods["items"][0] = pod("api", "c")
        second = await source.read(count_objects=False)
        pods["items"].append(pod("archiver", "d"))
        third = await source.read(count_objects=False)

    etcd = EtcdSize(20_480, 16_384)
    memory, working_set = {"api": 3, "workers": 4}, {"api": 5, "workers": 7}
    counts = {"imagejobs": 0, "jobs": 2, "pods": 1, "replaced": 0}
    cpu_seconds = {"archiver": 0.0, "postgres": 0.0}
    assert first == Reading(memory, working_set, etcd, **counts, cpu_seconds=cpu_seconds)
    assert (second.memory["api"], second.replaced) == (8, 1)
    assert (third.lag_seconds, third.cpu_seconds) == (0.25, {"archiver": 12.5, "postgres": 0.0})
    (jobs, *_) = [path for path, _ in requests if "/jobs?" in path]
    assert jobs.endswith("?labelSelector=app.kubernetes.io/component%3Dworker")


def test_only_containers_that_should_keep_running_are_expected_to() -> None:
    def pod(name: str, component: str, **more: str) -> dict[str, Any]:
        labels = {"app.kubernetes.io/component": component}
        statuses = [{"containerID": f"containerd://{name}"}]
        metadata = {"name": name, "labels": labels, **more}
        return {"metadata": metadata, "status": {"containerStatuses": statuses}}

    pods = [
        pod("api-1", "api"),
        pod("old-api", "api", deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("setup", "minio-setup"),
    ]
    assert kept_containers(pods) == {"api-1"}


def test_only_workers_of_the_release_are_counted() -> None:
    def pod(name: str, namespace: str, component: str) -> dict[str, Any]:
        labels = {"app.kubernetes.io/component": component}
        return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}

    pods = [
        pod("ours", "vision-node", "worker"),
        pod("api", "vision-node", "api"),
        pod("another release's", "other", "worker"),
    ]
    assert [found["metadata"]["name"] for found in worker_pods(pods)] == ["ours"]


async def test_objects_below_images_and_results_are_counted_on_all_pages() -> None:
    async with serving_s3() as (s3, settings):
        s3.page = 3
        for key in (
            *(f"images/id/{i}" for i in range(7)),
            "images/old",
            "results/id/u/1",
            "inbox/x",
        ):
            s3.put(key)

        assert await count_objects_in(settings) == 9
