"""Tests of the options labels and priority, by Kubernetes' rules for labels."""

from typing import Any

import httpx
import pytest
from api_fakes import Cluster, FakeBucket, picture
from vision_node_api.uploads.labels import MAX_LABELS
from vision_node_contract.names import REUSE_LABEL

PNG = picture()


async def _submit(client: httpx.AsyncClient, **parts: Any) -> httpx.Response:
    return await client.post("/submit", files={"image": ("photo.jpg", PNG)}, **parts)


LONGEST = "a" * 63
LONGEST_PREFIX = ".".join(["a" * 63] * 3 + ["a" * 61])

VALID = [
    ("team=web", {"team": "web"}),
    ("team=web,tier=gold", {"team": "web", "tier": "gold"}),
    (" team = web , tier=gold ", {"team": "web", "tier": "gold"}),
    ("team=", {"team": ""}),
    ("a.b-c_D9=x.y-z_W9", {"a.b-c_D9": "x.y-z_W9"}),
    ("example.com/team=web", {"example.com/team": "web"}),
    ("mykubernetes.io/team=web", {"mykubernetes.io/team": "web"}),
    (f"{LONGEST}={LONGEST}", {LONGEST: LONGEST}),
    (f"{LONGEST_PREFIX}/x=1", {f"{LONGEST_PREFIX}/x": "1"}),
    (
        ",".join(f"l{number}=x" for number in range(MAX_LABELS)),
        {f"l{number}": "x" for number in range(MAX_LABELS)},
    ),
    (" ", {}),
]

INVALID = [
    ("team", "'team' is not a label; write KEY=VALUE"),
    ("team=web,", "'' is not a label"),
    ("=web", "the name in the key '' is invalid"),
    ("team=web,team=data", "the key 'team' is given twice"),
    ("-team=web", "the name in the key '-team' is invalid"),
    ("team.=web", "the name in the key 'team.' is invalid"),
    ("te am=web", "the name in the key 'te am' is invalid"),
    ("größe=1", "the name in the key 'größe' is invalid"),
    (f"{LONGEST}a=web", f"the name in the key '{LONGEST}a' is invalid"),
    ("a/b/c=web", "the prefix of the key 'a/b/c' is not a DNS name"),
    ("/team=web", "the prefix of the key '/team' is not a DNS name"),
    ("Example.com/team=web", "the prefix of the key 'Example.com/team' is not a DNS name"),
    (f"{LONGEST_PREFIX}a/x=1", "is not a DNS name"),
    ("example.com/=web", "the name in the key 'example.com/' is invalid"),
    ("team=we b", "the value 'we b' of 'team' is invalid"),
    ("team=web-", "the value 'web-' of 'team' is invalid"),
    ("team=a=b", "the value 'a=b' of 'team' is invalid"),
    (f"team={LONGEST}a", f"the value '{LONGEST}a' of 'team' is invalid"),
    ("vision-node.dev/owner=ann", "the prefix of the key 'vision-node.dev/owner' is reserved"),
    ("kubernetes.io/x=1", "is reserved"),
    ("app.kubernetes.io/name=x", "is reserved"),
    ("k8s.io/x=1", "is reserved"),
    ("a.b.k8s.io/x=1", "is reserved"),
    (",".join(f"l{number}=x" for number in range(MAX_LABELS + 1)), "there are 17 labels"),
    ("x" * 6113, "the text has 6113 characters, but at most 6112"),
]


@pytest.mark.parametrize(("text", "expected"), VALID)
async def test_labels_become_labels_of_the_imagejob(
    client: httpx.AsyncClient, cluster: Cluster, text: str, expected: dict[str, str]
) -> None:
    response = await _submit(client, data={"labels": text})
    assert response.status_code == 202, response.text
    labels = cluster.jobs[response.json()["job_id"]].metadata.labels
    assert labels.pop(REUSE_LABEL)
    assert labels == expected


@pytest.mark.parametrize(("text", "why"), INVALID)
async def test_problem_names_the_invalid_label(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, text: str, why: str
) -> None:
    response = await _submit(client, data={"labels": text})
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")
    assert why in response.json()["detail"]
    assert "labels: " in response.json()["detail"]
    assert (cluster.jobs, bucket.objects) == ({}, {})


async def test_long_label_is_quoted_in_part(client: httpx.AsyncClient) -> None:
    response = await _submit(client, data={"labels": "x" * 6000})
    assert len(response.json()["detail"]) < 300


@pytest.mark.parametrize("priority", [-10, 0, 10, None])
async def test_priority_is_that_of_the_imagejob(
    client: httpx.AsyncClient, cluster: Cluster, priority: int | None
) -> None:
    params = {} if priority is None else {"priority": str(priority)}
    response = await _submit(client, params=params)
    assert cluster.jobs[response.json()["job_id"]].spec.priority == (priority or 0)


@pytest.mark.parametrize("priority", ["11", "-11", "1000", "0.5", "high"])
async def test_priority_out_of_range_is_refused(
    client: httpx.AsyncClient, cluster: Cluster, priority: str
) -> None:
    response = await _submit(client, data={"priority": priority})
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")
    assert "priority" in response.json()["detail"]
    assert cluster.jobs == {}


@pytest.mark.parametrize("labels", ["team=web,tier=gold", {"team": "web", "tier": "gold"}])
async def test_labels_of_a_batch_become_labels_of_the_imagebatch(
    client: httpx.AsyncClient, cluster: Cluster, labels: str | dict[str, str]
) -> None:
    body = {"prefix": "inbox/holiday/", "name": "holiday", "labels": labels}
    response = await client.post("/batches", json=body)
    assert response.status_code == 202, response.text
    found = cluster.batches["holiday"]["metadata"]["labels"]
    assert {"team": "web", "tier": "gold"}.items() <= found.items()


@pytest.mark.parametrize("labels", ["vision-node.dev/request=x", {"team": "we b"}])
async def test_invalid_label_of_a_batch_is_refused(
    client: httpx.AsyncClient, cluster: Cluster, labels: str | dict[str, str]
) -> None:
    body = {"prefix": "inbox/holiday/", "labels": labels}
    response = await client.post("/batches", json=body)
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")
    assert cluster.batches == {}
