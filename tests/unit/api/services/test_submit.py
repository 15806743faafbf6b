"""Tests of POST /submit: options, idempotency keys, limits and outages of storage or Kubernetes."""

import httpx
import pytest
from api_client import submit
from api_fakes import Cluster, FakeBucket, picture
from vision_node_api.uploads.openapi import form_schema
from vision_node_contract.clients.kube import AlreadyExistsError, UnavailableError

PNG = picture()


async def test_second_submission_with_an_idempotency_key_returns_the_first_job(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket
) -> None:
    key = {"Idempotency-Key": "order-17"}
    first, again = [(await submit(client, PNG, headers=key)).json() for _ in range(2)]
    assert first == again
    assert (len(cluster.jobs), len(bucket.objects)) == (1, 1)
    other = await submit(client, picture(size=(9, 9)), headers=key)
    assert (other.status_code, other.json()["reason"]) == (422, "IdempotencyKeyReused")


async def test_idempotency_key_survives_a_change_of_the_default_describer(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    """A request that names no describer is repeated after an upgrade with another default."""
    key = {"Idempotency-Key": "order-17"}
    first = (await submit(client, PNG, headers=key)).json()["job_id"]
    job = cluster.jobs[first]
    cluster.jobs[first] = job.model_copy(
        update={"spec": job.spec.model_copy(update={"describer": "local"})}
    )

    again = await submit(client, PNG, headers=key)
    assert (again.status_code, again.json()["job_id"]) == (202, first)

    named = await client.post(
        "/submit", files={"image": PNG}, data={"describer": "metadata"}, headers=key
    )
    assert (named.status_code, named.json()["reason"]) == (422, "IdempotencyKeyReused")


@pytest.mark.parametrize("name", ["gpt", "Not a label", "../metadata"])
async def test_unknown_describer_is_refused(
    client: httpx.AsyncClient, bucket: FakeBucket, name: str
) -> None:
    response = await client.post("/submit", files={"image": PNG}, data={"describer": name})
    assert (response.status_code, response.json()["reason"]) == (422, "DescriberNotFound")
    assert "Available describers: metadata" in response.json()["detail"]
    assert bucket.objects == {}


async def test_options_are_written_to_the_imagejob(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    options = {"prompt": "Which breed?", "language": "de", "detail": "high", "maxLength": "300"}
    fields = {**options, "fallback": "never", "text": "true", "describer": " "}
    response = await client.post("/submit", files={"image": PNG}, data=fields)
    spec = cluster.jobs[response.json()["job_id"]].spec

    assert spec.describer == "metadata"
    assert spec.options is not None
    assert spec.options.model_dump(by_alias=True) == {
        **options,
        "maxLength": 300,
        "fallback": "never",
        "text": True,
    }

    await client.post("/submit", files={"image": PNG}, data={"prompt": ""})
    assert [job.spec.options for job in cluster.jobs.values()][1:] == [None]


@pytest.mark.parametrize(
    ("sent", "read"), [("true", True), ("false", False), ("TRUE", True), (" ", None), (None, None)]
)
async def test_text_option_determines_whether_text_in_the_image_is_read(
    client: httpx.AsyncClient, cluster: Cluster, sent: str | None, read: object
) -> None:
    fields = {"prompt": "Which breed?"} | ({} if sent is None else {"text": sent})
    response = await client.post("/submit", files={"image": PNG}, data=fields)
    spec = cluster.jobs[response.json()["job_id"]].spec

    assert spec.options is not None
    assert spec.options.text is read
    assert spec.to_json()["options"].get("text") is read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "x" * 4001),
        ("language", "German!"),
        ("detail", "most"),
        ("maxLength", "0"),
        ("maxLength", "ten"),
        ("fallback", "always"),
        ("text", "auto"),
    ],
)
async def test_problem_names_the_invalid_option(
    client: httpx.AsyncClient, bucket: FakeBucket, name: str, value: str
) -> None:
    response = await client.post("/submit", files={"image": PNG}, data={name: value})
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")
    assert name in response.json()["detail"]
    assert not bucket.objects


async def test_form_options_are_documented(client: httpx.AsyncClient) -> None:
    form = form_schema()["properties"]
    assert form.keys() == {
        "file",
        "describer",
        "prompt",
        "language",
        "detail",
        "maxLength",
        "fallback",
        "text",
        "ttlSeconds",
        "labels",
        "priority",
        "reuse",
        "callbackURL",
    }
    assert form["labels"]["type"] == "string"
    assert (form["priority"]["minimum"], form["priority"]["maximum"]) == (-10, 10)
    assert form["text"]["type"] == "boolean"
    assert form["detail"] == {
        "type": "string",
        "enum": ["low", "high", "auto"],
        "description": "how closely to look",
    }


async def test_describer_that_the_watch_has_not_reported_is_accepted(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    response = await client.post("/submit", files={"image": PNG}, data={"describer": "newest"})
    assert response.status_code == 202
    assert cluster.jobs[response.json()["job_id"]].spec.describer == "newest"


async def test_submission_is_refused_if_the_describer_lookup_fails(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket
) -> None:
    cluster.get_fails = UnavailableError(0, "NoAnswer", "no answer")
    response = await client.post("/submit", files={"image": PNG}, data={"describer": "newest"})
    assert (response.status_code, bucket.objects) == (503, {})


async def test_submission_is_refused_while_storage_is_unavailable(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    bucket.unavailable = True
    response = await submit(client, PNG)
    assert (response.status_code, response.json()["reason"]) == (503, "StorageUnavailable")
    assert response.headers["Retry-After"]
    assert cluster.jobs == {}


async def test_image_is_kept_while_kubernetes_is_unavailable(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    cluster.create_fails = UnavailableError(0, "NoAnswer", "no answer")
    response = await submit(client, PNG)
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")
    # Kubernetes may still create the ImageJob, which would then need its image.
    assert len(bucket.objects) == 1


async def test_image_is_kept_if_its_job_is_created_late(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    key = {"Idempotency-Key": "order-18"}
    cluster.create_fails = UnavailableError(0, "NoAnswer", "no answer")
    assert (await submit(client, PNG, headers=key)).status_code == 503

    ((image_key, _),) = bucket.objects.items()
    cluster.create_fails = None
    name = (await submit(client, PNG, headers=key)).json()["job_id"]
    late = cluster.jobs[name].spec.image.model_copy(update={"key": image_key})
    cluster.jobs[name] = cluster.jobs[name].model_copy(
        update={"spec": cluster.jobs[name].spec.model_copy(update={"image": late})}
    )

    assert (await submit(client, PNG, headers=key)).json()["job_id"] == name
    assert image_key in bucket.objects


async def test_image_is_kept_if_a_proxy_repeats_the_create_request(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    """The repeated request gets AlreadyExists, because the first one has created the ImageJob."""
    cluster.create_fails = AlreadyExistsError(409, "AlreadyExists", "j")
    cluster.lose_response = True
    response = await submit(client, PNG, headers={"Idempotency-Key": "order-19"})
    assert response.status_code == 202
    assert len(bucket.objects) == 1


async def test_deleted_job_is_created_again_even_if_the_watch_lags(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    key = {"Idempotency-Key": "order-20"}
    name = (await submit(client, PNG, headers=key)).json()["job_id"]
    del cluster.jobs[name]
    assert (await submit(client, PNG, headers=key)).status_code == 202
    assert name in cluster.jobs


async def test_job_is_found_if_the_response_to_its_creation_is_lost(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    cluster.create_fails = UnavailableError(0, "NoAnswer", "no answer")
    cluster.lose_response = True
    response = await submit(client, PNG)
    assert response.status_code == 202
    assert list(cluster.jobs) == [response.json()["job_id"]]
