"""A callbackURL is accepted if something can be sent to it, and refused with the reason if not."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from api_client import submit
from api_fakes import SETTINGS, Cluster, FakeBucket, batches_of, jobs_of, picture
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_api.uploads.batch_options import BatchOptions
from vision_node_api.uploads.retry_options import RetryOptions
from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_contract.models.imagejob import ImageJobSpec, ImageRef

PNG = picture()
URL = "https://hooks.example.com/x?job=1"


@pytest.fixture
def rules() -> CallbackRules | None:
    return CallbackRules()


@pytest.fixture
def jobs(bucket: FakeBucket, cluster: Cluster, rules: CallbackRules | None) -> Jobs:
    return replace(jobs_of(cluster, bucket), settings=replace(SETTINGS, callbacks=rules))


@pytest.fixture
def batches(cluster: Cluster, jobs: Jobs) -> Batches:
    return batches_of(cluster, jobs)


async def post(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await client.post("/submit", files={"file": PNG}, data=fields)


async def test_callback_is_written_to_the_imagejob(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    response = await post(client, callbackURL=URL)
    assert cluster.jobs[response.json()["job_id"]].spec.callback_url == URL

    response = await submit(client, PNG, params={"callbackURL": URL})
    assert cluster.jobs[response.json()["job_id"]].spec.callback_url == URL

    response = await post(client, callbackURL=" ")
    assert cluster.jobs[response.json()["job_id"]].spec.callback_url is None


async def test_callback_of_a_batch_is_written_to_it(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    document = {"prefix": "inbox/x/", "callbackURL": URL}
    response = await client.post("/batches", json=document)
    assert response.status_code == 202
    assert cluster.batches[response.json()["name"]]["spec"]["callbackURL"] == URL

    of_form = BatchOptions.read({"callbackURL": URL}, 86_400)
    assert of_form.spec("local", prefix="inbox/x/").callback_url == URL


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example.com/", "https://127.0.0.1/", "https://169.254.169.254/latest"),
        *("https://2130706433/", "https://user@example.com/", "https://kubernetes.default.svc/"),
        *("https://[::ffff:10.0.0.1]/", "https://localhost:8443/", "no url"),
    ],
)
async def test_url_that_is_not_allowed_is_refused(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, url: str
) -> None:
    responses = [
        await post(client, callbackURL=url),
        await client.post("/batches", json={"prefix": "inbox/x/", "callbackURL": url}),
        await client.post("/batches", files={"files": PNG}, data={"callbackURL": url}),
    ]
    for response in responses:
        problem = response.json()
        assert (response.status_code, problem["reason"]) == (422, "CallbackURLNotAllowed")
        assert problem["detail"].startswith("Nothing can be sent to this callbackURL: ")
    assert not cluster.jobs
    assert not cluster.batches
    assert not bucket.objects


@pytest.mark.parametrize(
    "rules", [CallbackRules((ip_network("10.0.0.0/8"),), allow_http=True)], ids=["allowed"]
)
async def test_allowed_network_is_accepted(client: httpx.AsyncClient) -> None:
    assert (await post(client, callbackURL="http://10.1.2.3:8080/")).status_code == 202
    assert (await post(client, callbackURL="http://a.b.svc.cluster.local/")).status_code == 202
    assert (await post(client, callbackURL="http://192.168.0.1/")).status_code == 422


@pytest.mark.parametrize("rules", [None])
async def test_release_without_webhooks_refuses_callbacks(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    responses = [
        await post(client, callbackURL=URL),
        await client.post("/batches", json={"prefix": "inbox/x/", "callbackURL": URL}),
    ]
    for response in responses:
        assert (response.status_code, response.json()["reason"]) == (422, "CallbacksNotAvailable")
    assert not cluster.jobs
    assert not cluster.batches
    assert (await post(client)).status_code == 202


async def test_too_long_url_is_an_invalid_option(client: httpx.AsyncClient) -> None:
    response = await post(client, callbackURL="https://example.com/" + "a" * 2048)
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")


async def test_reused_job_has_no_further_callback(client: httpx.AsyncClient) -> None:
    response = await post(client, callbackURL=URL, reuse="true")
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")
    assert "callbackURL" in response.json()["detail"]


async def test_idempotency_key_is_for_one_callback(client: httpx.AsyncClient) -> None:
    key: dict[str, Any] = {"headers": {"Idempotency-Key": "k"}}
    first = await submit(client, PNG, params={"callbackURL": URL}, **key)
    again = await submit(client, PNG, params={"callbackURL": URL}, **key)
    other = await submit(client, PNG, params={"callbackURL": f"{URL}2"}, **key)
    assert first.json() == again.json()
    assert (other.status_code, other.json()["reason"]) == (422, "IdempotencyKeyReused")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, None), ({"callbackURL": None}, None), ({"callbackURL": f"{URL}2"}, f"{URL}2")],
)
def test_retry_has_its_own_callback(changes: dict[str, Any], expected: str | None) -> None:
    spec = ImageJobSpec(image=ImageRef(key="k"), callback_url=URL)
    options = RetryOptions.check(changes, 86_400)
    assert options.applied_to(spec).callback_url == expected
