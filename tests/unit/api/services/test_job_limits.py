"""Tests of POST /submit while the namespace can't take more ImageJobs."""

import httpx
import pytest
from api_client import submit
from api_fakes import SETTINGS, Cluster, FakeBucket, picture
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import ConflictError, KubeError, WatchEvent
from vision_node_contract.clients.kube_errors import parse_error
from vision_node_contract.json_types import Json

PNG = picture()
FORBIDDEN = 'imagejobs.vision-node.dev "job-x" is forbidden'
EXCEEDED = (
    "exceeded quota: q, requested: count/imagejobs.vision-node.dev=1, "
    "used: count/imagejobs.vision-node.dev=5, limited: count/imagejobs.vision-node.dev=5"
)


def imagejobs(count: int, phase: str) -> list[Json]:
    """Return the bodies of ImageJobs in a phase."""
    rest = {"spec": {"image": {"key": "images/1"}}, "status": {"phase": phase}}
    return [{"metadata": {"name": f"{phase}{n}"}, **rest} for n in range(count)]


@pytest.mark.parametrize(
    ("unfinished", "finished", "expected"),
    [
        (0, SETTINGS.max_imagejobs - 1, (202, None)),
        (0, SETTINGS.max_imagejobs, (429, "TooManyImageJobs")),
        (0, SETTINGS.max_imagejobs + 1, (429, "TooManyImageJobs")),
        (SETTINGS.max_unfinished_jobs - 1, 0, (202, None)),
        (SETTINGS.max_unfinished_jobs, 0, (429, "TooManyJobs")),
        (50, SETTINGS.max_imagejobs - 50, (429, "TooManyImageJobs")),
        (50, SETTINGS.max_imagejobs - 51, (202, None)),
        (SETTINGS.max_unfinished_jobs, SETTINGS.max_imagejobs, (429, "TooManyJobs")),
    ],
)
async def test_submission_is_refused_at_the_limit(
    client: httpx.AsyncClient,
    jobs: Jobs,
    bucket: FakeBucket,
    unfinished: int,
    finished: int,
    expected: tuple[int, str | None],
) -> None:
    jobs.cache.observe(WatchEvent("PAGE", imagejobs(unfinished, "queued")))
    jobs.cache.observe(WatchEvent("PAGE", imagejobs(finished, "done")))
    response = await submit(client, PNG)

    assert (response.status_code, response.json().get("reason")) == expected
    assert ("Retry-After" in response.headers) == (expected[0] == 429)
    assert len(bucket.objects) == (expected[0] == 202)


@pytest.mark.parametrize("phase", ["queued", "done"])
async def test_repeated_submission_is_answered_at_the_limit(
    client: httpx.AsyncClient, jobs: Jobs, phase: str
) -> None:
    """The client may not have received the first response, and the job needs no further room."""
    key = {"Idempotency-Key": "order-17"}
    first = await submit(client, PNG, headers=key)
    jobs.cache.observe(WatchEvent("PAGE", imagejobs(SETTINGS.max_imagejobs, phase)))

    again = await submit(client, PNG, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert (await submit(client, PNG)).status_code == 429


@pytest.mark.parametrize(
    ("error", "expected", "detail"),
    [
        (
            parse_error(403, {"reason": "Forbidden", "message": f"{FORBIDDEN}: {EXCEEDED}"}),
            (429, "QuotaExceeded", "10"),
            EXCEEDED,
        ),
        (
            parse_error(
                403,
                {
                    "reason": "Forbidden",
                    "message": f"{FORBIDDEN}: status unknown for quota: q, resources: count/x",
                },
            ),
            (429, "QuotaExceeded", "10"),
            "status unknown for quota: q",
        ),
        # Many concurrent requests change the quota's status, and the API server gives up.
        (ConflictError(409, "Conflict", "quota q"), (503, "KubernetesUnavailable", "2"), ""),
        (KubeError(403, "Forbidden", "denied by p"), (422, "JobRefused", None), "denied by p"),
    ],
)
async def test_refused_job_leaves_no_image(
    client: httpx.AsyncClient,
    cluster: Cluster,
    bucket: FakeBucket,
    error: KubeError,
    expected: tuple[int, str, str | None],
    detail: str,
) -> None:
    cluster.create_fails = error
    response = await submit(client, PNG)
    body = response.json()
    retry_after = response.headers.get("Retry-After")

    assert (response.status_code, body["reason"], retry_after) == expected
    assert detail in body["detail"]
    assert bucket.objects == {}


async def test_image_is_kept_while_a_permission_is_missing(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket
) -> None:
    """The API server may just have started. It has not loaded the roles yet."""
    message = 'imagejobs.vision-node.dev is forbidden: User "api" cannot create resource'
    cluster.create_fails = parse_error(403, {"reason": "Forbidden", "message": message})
    response = await submit(client, PNG)
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")
    assert len(bucket.objects) == 1
