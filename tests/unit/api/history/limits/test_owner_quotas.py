"""Tests of the limits on unfinished jobs, bytes and tokens of an owner, through the API."""

from typing import Any

import httpx
import pytest
from acting_as import as_
from api_archive import batch_body, job_body, report
from api_client import submit
from api_fakes import Cluster, FakeBucket, picture
from limited_api import NOON, LimitedApi, Start
from vision_node_api.owner_limits import OwnerLimits
from vision_node_contract.clients.kube import WatchEvent

PNG = picture()
MIDNIGHT = "43200"
"""Number of seconds from noon to midnight."""
LONG_AGO = NOON.replace(year=2025)


def refusal(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    return (
        answer.status_code,
        answer.json().get("reason"),
        answer.headers.get("Retry-After"),
    )


async def submit_as(api: LimitedApi, owner: str, **options: str) -> httpx.Response:
    files = {"image": ("photo.png", PNG)}
    return await api.client.post("/submit", files=files, data=options, headers=as_(owner))


async def accepted(api: LimitedApi, owner: str) -> bool:
    """Submit an image, and let its job end long ago if it is accepted."""
    answer = await submit_as(api, owner)
    if answer.status_code == 202:
        report(api.jobs, job_body(99, name=answer.json()["job_id"], created=LONG_AGO))

    return answer.status_code == 202


def unfinished(number: int, owner: str, size: int = 0, **spec: Any) -> dict[str, Any]:
    image = {"key": f"images/aaaabbbbcccc/{number}", "sizeBytes": size}
    return job_body(number, phase="queued", owner=owner, spec={"image": image, **spec})


async def test_unfinished_jobs_of_an_owner_are_limited(
    limited_api: Start, bucket: FakeBucket
) -> None:
    async with limited_api(OwnerLimits(unfinished_jobs=3)) as api:
        report(api.jobs, *(unfinished(it, "ann") for it in range(2)))
        report(api.jobs, *(unfinished(it, "bob") for it in range(10, 13)))
        report(api.jobs, *(job_body(it, owner="ann") for it in range(20, 30)))

        assert await accepted(api, "ann")
        report(api.jobs, unfinished(3, "ann"))
        stored = len(bucket.objects)
        assert refusal(await submit_as(api, "ann")) == (429, "TooManyJobsOfOwner", "10")
        assert refusal(await submit_as(api, "admin:ann")) == (429, "TooManyJobsOfOwner", "10")
        assert refusal(await submit_as(api, "bob")) == (429, "TooManyJobsOfOwner", "10")
        assert len(bucket.objects) == stored
        assert await accepted(api, "")

        report(api.jobs, job_body(3, owner="ann"))
        assert await accepted(api, "ann")
        refused = 'vision_node_owner_limit_refusals_total{reason="TooManyJobsOfOwner"} 3.0'
        assert refused in api.app.state.metrics.text().decode()


async def test_unfinished_batches_count_as_one_job_each(
    limited_api: Start, cluster: Cluster
) -> None:
    async with limited_api(OwnerLimits(unfinished_jobs=2)) as api:
        for number, phase in ((1, "processing"), (2, "queued"), (3, "done")):
            body = batch_body(number, phase=phase)
            body["metadata"]["labels"] = {"vision-node.dev/owner": "ann"}
            api.app.state.batches.cache.observe(WatchEvent("ADDED", [body]))

        assert refusal(await submit_as(api, "ann")) == (429, "TooManyJobsOfOwner", "10")
        document = {"prefix": "inbox/holiday/"}
        answer = await api.client.post("/batches", json=document, headers=as_("ann"))
        assert refusal(answer) == (429, "TooManyJobsOfOwner", "10")
        assert cluster.batches == {}
        answer = await api.client.post("/batches", json=document, headers=as_("bob"))
        assert answer.status_code in (201, 202)

        finished = batch_body(1, phase="failed")
        finished["metadata"]["labels"] = {"vision-node.dev/owner": "ann"}
        api.app.state.batches.cache.observe(WatchEvent("MODIFIED", [finished]))
        assert (await submit_as(api, "ann")).status_code == 202


async def test_bytes_of_todays_jobs_are_limited(limited_api: Start) -> None:
    """Without a database, jobs in etcd count that have ended today or are unfinished."""
    limit = 1000 + len(PNG)
    async with limited_api(OwnerLimits(bytes_per_day=limit)) as api:
        image = {"image": {"key": "images/1", "sizeBytes": 400}}
        done = [
            job_body(1, owner="ann", created=NOON, spec=image),
            job_body(2, owner="ann", created=LONG_AGO, spec=image),
            job_body(3, owner="bob", created=NOON, spec=image),
            unfinished(4, "ann", 600),
        ]
        report(api.jobs, *done)
        assert await accepted(api, "ann")

        report(api.jobs, unfinished(5, "ann", len(PNG)))
        assert refusal(await submit_as(api, "ann")) == (429, "DailyBytesUsed", MIDNIGHT)
        assert await accepted(api, "bob")
        report(api.jobs, job_body(5, owner="ann", created=LONG_AGO))
        assert await accepted(api, "ann")


async def test_bytes_of_an_upload_are_counted_while_it_arrives(
    limited_api: Start,
    bucket: FakeBucket,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def put_pack(key: str, data: bytes, *_: object) -> None:
        bucket.objects[key] = data

    monkeypatch.setattr(bucket, "put", put_pack)
    limit = 3 * len(PNG)
    async with limited_api(OwnerLimits(bytes_per_day=limit)) as api:

        async def upload(name: str, images: int) -> httpx.Response:
            files = [("files", (f"{it}.png", PNG)) for it in range(images)]
            data = {"name": name}
            return await api.client.post("/batches", data=data, files=files, headers=as_("ann"))

        assert refusal(await upload("large", 4)) == (429, "DailyBytesUsed", MIDNIGHT)
        assert cluster.batches == {}
        assert (await upload("first", 2)).status_code == 202
        assert refusal(await upload("second", 2)) == (429, "DailyBytesUsed", MIDNIGHT)
        assert (await upload("third", 1)).status_code == 202
        assert refusal(await submit_as(api, "ann")) == (429, "DailyBytesUsed", MIDNIGHT)

        api.clock.advance(12 * 3600)
        assert (await submit_as(api, "ann")).status_code == 202


async def test_bytes_in_the_inbox_are_limited(limited_api: Start, bucket: FakeBucket) -> None:
    async with limited_api(OwnerLimits(bytes_per_day=len(PNG))) as api:

        async def put(name: str) -> httpx.Response:
            files = {"file": ("photo.png", PNG)}
            return await api.client.post(f"/inbox/{name}", files=files, headers=as_("ann"))

        assert (await put("a.png")).status_code == 201
        assert refusal(await put("b.png")) == (429, "DailyBytesUsed", MIDNIGHT)
        assert len(bucket.objects) == 1


@pytest.mark.parametrize(
    ("describer", "spec", "expected"),
    [
        ("cloud", {"provider": "openai"}, 429),
        ("own", {"provider": "package.module:Class"}, 429),
        ("local", {}, 202),
        ("words", {"provider": "ocr"}, 202),
    ],
)
async def test_tokens_limit_only_describers_that_may_use_some(
    limited_api: Start, describer: str, spec: dict[str, Any], expected: int
) -> None:
    async with limited_api(OwnerLimits(provider_tokens_per_day=100)) as api:
        known = {"metadata": {"name": describer}, "spec": spec}
        api.jobs.describers.observe(WatchEvent("ADDED", [known]))
        assert (await submit_as(api, "ann", describer=describer)).status_code == 202

        used = job_body(1, owner="ann", created=NOON)
        used["status"]["result"]["usage"] = {"inputTokens": 60, "outputTokens": 40}
        report(api.jobs, used)
        answer = await submit_as(api, "ann", describer=describer)
        assert answer.status_code == expected
        if expected == 429:
            assert refusal(answer) == (429, "DailyTokensUsed", MIDNIGHT)
            assert describer in answer.json()["detail"]

        document = {"prefix": "inbox/x/", "describer": describer}
        answer = await api.client.post("/batches", json=document, headers=as_("ann"))
        assert (answer.status_code == 429) == (expected == 429)


async def test_repeated_submission_is_answered_beyond_the_limit(limited_api: Start) -> None:
    async with limited_api(OwnerLimits(unfinished_jobs=1)) as api:
        headers = {**as_("ann"), "Idempotency-Key": "order-17"}
        first = await submit(api.client, PNG, headers=headers)
        report(api.jobs, unfinished(1, "ann"))

        again = await submit(api.client, PNG, headers=headers)
        assert (again.status_code, again.json()) == (202, first.json())
        assert (await submit_as(api, "ann")).status_code == 429
