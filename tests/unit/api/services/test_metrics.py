"""Tests of the metrics, as parsed by the Prometheus client library."""

import socket
import time
from typing import Any

import httpx
import pytest
from api_fakes import FakeBucket, picture
from api_health import PATHS, Dependency, health_of
from fastapi import FastAPI
from metrics_lint import lint
from prometheus_client.parser import text_string_to_metric_families
from vision_node_api.app import attach_services, build_app, serving_metrics
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_api.services.metrics import Metrics
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.clients.kube import UnavailableError, WatchEvent
from vision_node_contract.models.reasons import STORAGE_REASONS, Reason

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def text_of(app: FastAPI) -> str:
    """Return what the port for metrics answers."""
    metrics: Metrics = app.state.metrics
    return metrics.text().decode()


def scrape(app: FastAPI) -> Samples:
    """Return the value of every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text_of(app))
        for sample in family.samples
    }


def number(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"vision_node_{name}", tuple(sorted(labels.items()))))


def requests(samples: Samples, method: str, route: str, status: str) -> float | None:
    name = "http_request_duration_seconds_count"
    return number(samples, name, method=method, route=route, status=status)


async def test_submissions_are_counted_by_outcome(
    client: httpx.AsyncClient, app: FastAPI, bucket: FakeBucket
) -> None:
    image, text = picture(), b"hello world " * 20
    assert number(scrape(app), "submits_total", outcome="Accepted") == 0
    for data in (image, image, text):
        await client.post("/submit", files={"file": ("photo.png", data)})

    bucket.unavailable = True
    await client.post("/submit", files={"file": ("photo.png", image)})
    headers = {"Idempotency-Key": "x" * 256}
    await client.post("/submit", files={"file": ("photo.png", image)}, headers=headers)

    samples = scrape(app)
    wanted = {"Accepted": 2, "UnsupportedFormat": 1, "StorageUnavailable": 1, "InvalidRequest": 1}
    for outcome, count in wanted.items():
        assert number(samples, "submits_total", outcome=outcome) == count, outcome


ROUTES: dict[str, tuple[str, str, str, str]] = {
    "a poll for a job in the cache": ("GET", "/status/job-secret", "/status/{job_id}", "200"),
    "a poll for a job that is not in the cache": (
        "GET",
        "/status/job-unknown",
        "/status/{job_id}",
        "404",
    ),
    "a result": ("GET", "/result/job-unknown", "/result/{job_id}", "404"),
    "a file of the page": ("GET", "/ui/app.js", "/ui/{name}", "200"),
    "a missing file of the page": ("GET", "/ui/secret", "/ui/{name}", "404"),
    "the root": ("GET", "/", "/", "307"),
    "the documentation": ("GET", "/docs", "/docs", "200"),
    "a file of the documentation": ("GET", "/static-offline-docs/swagger-ui.css", "other", "200"),
    "the metrics, which have a port of their own": ("GET", "/metrics", "other", "404"),
    "a probe": ("GET", "/healthz", "/healthz", "200"),
    "HEAD": ("HEAD", "/ui", "/ui", "200"),
    "OPTIONS": ("OPTIONS", "/submit", "/submit", "405"),
    "the inbox": ("GET", "/inbox", "/inbox", "200"),
    "the list of jobs": ("GET", "/jobs?owner=secret", "/jobs", "200"),
    "an object in the inbox": ("GET", "/inbox/a/secret.png", "/inbox/{name}", "404"),
    "DELETE": ("DELETE", "/inbox/secret.png", "/inbox/{name}", "404"),
    "an invalid name in the inbox": ("POST", "/inbox/.secret", "/inbox/{name}", "422"),
    "an unknown method": ("BREW", "/ui", "/ui", "405"),
    "an unknown path": ("GET", "/secret", "other", "404"),
    "an unknown path under a known one": ("GET", "/ui/a/secret", "other", "404"),
    "an extra slash": ("GET", "/ui/", "other", "307"),
}


@pytest.mark.parametrize("case", ROUTES)
async def test_requests_are_counted_by_route_not_by_path(
    client: httpx.AsyncClient, app: FastAPI, jobs: Jobs, case: str
) -> None:
    body = {"metadata": {"name": "job-secret", "uid": "u"}, "spec": {"image": {"key": "images/a"}}}
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    method, path, route, status = ROUTES[case]
    await client.request(method, path)
    label = {"HEAD": "GET", "BREW": "other"}.get(method, method)
    assert requests(scrape(app), label, route, status) == 1
    assert "secret" not in text_of(app)


async def test_routes_are_the_same_under_a_root_path(app: FastAPI, jobs: Jobs) -> None:
    body = {"metadata": {"name": "job-a", "uid": "u"}, "spec": {"image": {"key": "images/a"}}}
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    served = add_middleware(app, HttpSettings(root_path="/vision"), app.state.metrics)
    transport = httpx.ASGITransport(served)

    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        for path in ("/vision/status/job-a", "/status/job-a", "/vision/status/job-b"):
            await client.get(path)

    samples = scrape(app)

    assert requests(samples, "GET", "/status/{job_id}", "200") == 2
    assert requests(samples, "GET", "/status/{job_id}", "404") == 1


async def test_storage_errors_are_counted_by_reason_and_code(jobs: Jobs, batches: Batches) -> None:
    storage, kubernetes = Dependency(), Dependency()
    health = health_of(jobs, storage, kubernetes)
    app = build_app()
    attach_services(app, jobs, batches, health, {})

    await health.checks.check_once()
    samples = scrape(app)
    for reason in STORAGE_REASONS:
        assert number(samples, "storage_errors_total", reason=reason, code="") == 0
    assert (number(samples, "storage_up"), number(samples, "kubernetes_up")) == (1, 1)

    storage.fails = StoreUnavailableError("m", Reason.STORAGE_FULL, "XMinioStorageFull")
    kubernetes.fails = UnavailableError(0, "NoAnswer", "m")
    await health.checks.check_once()
    samples = scrape(app)

    labels = {"reason": "StorageFull", "code": "XMinioStorageFull"}
    assert number(samples, "storage_errors_total", **labels) == 1
    assert (number(samples, "storage_up"), number(samples, "kubernetes_up")) == (0, 0)


async def test_metrics_cover_jobs_watches_and_upload_memory(jobs: Jobs, batches: Batches) -> None:
    app = build_app()
    last_activity = {PATHS[0]: time.monotonic() - 100}
    attach_services(app, jobs, batches, health_of(jobs), last_activity)
    jobs.cache.observe(WatchEvent("ADDED", [{"metadata": {"name": "job-a"}, "status": {}}]))

    with jobs.uploads.admit() as slot:
        await slot.hold(1000)
        samples = scrape(app)

    assert number(samples, "unfinished_jobs") == 1
    assert number(samples, "upload_bytes") == 1000
    age = number(samples, "watch_age_seconds", resource="imagejobs")
    assert age is not None
    assert 100 <= age < 110
    assert number(samples, "watch_age_seconds", resource="describers") is None


async def test_two_applications_count_their_requests_separately(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await client.get("/nothing")
    assert requests(scrape(app), "GET", "other", "404") == 1
    assert b"http_request_duration_seconds_count" not in build_app().state.metrics.text()


async def test_metrics_contain_no_job_ids_or_secrets(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    files: Any = {"file": ("name-secret.png", picture())}
    data = {"prompt": "prompt-secret"}
    response = await client.post("/submit?language=en", files=files, data=data)
    job_id = response.json()["job_id"]
    await client.get(f"/status/{job_id}?a=query-secret")
    await client.get(f"/status/{job_id}", headers={"Authorization": "Bearer secret"})
    text = text_of(app)
    assert job_id not in text
    assert "secret" not in text


async def test_metrics_have_a_port_of_their_own(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/metrics")).status_code == 404

    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("METRICS_LISTEN_ADDRESS", address)

    async with serving_metrics(app.state.metrics), httpx.AsyncClient() as scraper:
        response = await scraper.get(f"http://{address}/metrics")

    assert 'route="other",status="404"} 1.0' in response.text


async def test_metrics_are_named_as_prometheus_recommends(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await client.get("/ui")
    assert lint(text_of(app)) == []
