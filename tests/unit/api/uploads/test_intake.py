"""What is let in and what each bad upload is told, over a real HTTP exchange with fakes behind it."""

import asyncio
import json
import struct
import zlib
from typing import Any

import httpx
import pytest
from api_fakes import LIMIT, SETTINGS, Cluster, FakeBucket, picture
from vision_node_api.services.jobs import Jobs
from vision_node_api.uploads.openapi import form_schema
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    KubeError,
    UnavailableError,
    WatchEvent,
)
from vision_node_contract.images.formats import HEIC, SUPPORTED, Format


async def submit(client: httpx.AsyncClient, data: bytes, **kwargs: Any) -> httpx.Response:
    return await client.post("/submit", files={"image": ("photo.jpg", data)}, **kwargs)


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
async def test_every_format_is_let_in(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, kind: Format
) -> None:
    data = picture("HEIF" if kind is HEIC else kind.name)
    answer = await submit(client, data)
    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    assert answer.json() == {"job_id": job_id, "status": "queued"}
    assert answer.headers["Location"] == f"/status/{job_id}"
    image = cluster.jobs[job_id].spec.image
    assert (image.media_type, image.width, image.height) == (kind.media_type, 8, 6)
    assert image.size_bytes == len(data)
    assert bucket.objects == {image.key: data}


PNG = picture()


def bomb(side: int) -> bytes:
    """Return a PNG of some 40 bytes that declares side × side pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk
        + b"\x00\x00\x00\x00IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


REFUSED: dict[str, tuple[bytes, int, str, str]] = {
    "empty": (b"", 400, "EmptyImage", "no bytes"),
    "text": (
        b"hello world " * 20,
        415,
        "UnsupportedFormat",
        "JPEG, PNG, WebP, GIF, AVIF, BMP, HEIC, TIFF",
    ),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "UnsupportedFormat", "convert"),
    "pdf": (b"%PDF-1.7\n%", 415, "UnsupportedFormat", "convert"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", 415, "UnsupportedFormat", "convert"),
    "psd": (b"8BPS" + bytes(40), 415, "UnsupportedFormat", "Photoshop"),
    "too many bytes": (b"x" * (LIMIT + 1), 413, "ImageTooLarge", f"{LIMIT} bytes"),
    "far too many bytes": (b"x" * (LIMIT * 10), 413, "ImageTooLarge", f"{LIMIT} bytes"),
    "a bomb": (bomb(60_000), 413, "ImageTooLarge", "60000x60000 = 3600000000 pixels"),
    "too many pixels": (
        picture(size=(1001, 1000), mode="1"),
        413,
        "ImageTooLarge",
        "1001x1000 = 1001000 pixels and exceeds the limit of 1000000",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refused(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, case: str
) -> None:
    data, status, reason, words = REFUSED[case]
    answer = await submit(client, data)
    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (status, reason)
    assert words in problem["detail"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"]
    assert problem["title"]
    assert problem["status"] == status
    assert (cluster.jobs, bucket.objects) == ({}, {})


@pytest.mark.parametrize("length", range(1, len(PNG), 7))
async def test_a_cut_image_is_taken_or_refused_but_never_an_error(
    client: httpx.AsyncClient, length: int
) -> None:
    assert (await submit(client, PNG[:length])).status_code in {202, 415, 422}


async def test_missing_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/submit", data={"image": "text"}, files={"other": b""})
    assert (answer.status_code, answer.json()["reason"]) == (400, "MissingImage")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"garbage", 400),
    ],
)
async def test_not_a_form(
    client: httpx.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    answer = await client.post("/submit", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_the_name_is_tidied(client: httpx.AsyncClient, cluster: Cluster) -> None:
    await client.post("/submit", files={"file": ("../../etc/\x07pass wd.png", PNG)})
    (job,) = cluster.jobs.values()
    assert job.spec.image.file_name is not None
    assert "/" not in job.spec.image.file_name
    assert job.spec.image.file_name.isprintable()


async def test_unknown_job(client: httpx.AsyncClient) -> None:
    for path in ("/status/nope", "/result/nope", "/status/No..pe", "/result/%2e%2e%2fx"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_result_before_done(client: httpx.AsyncClient) -> None:
    job_id = (await submit(client, PNG)).json()["job_id"]
    answer = await client.get(f"/result/{job_id}")
    assert (answer.status_code, answer.json()["reason"]) == (409, "NotDone")


@pytest.mark.parametrize(
    ("key", "answered"),
    [
        ("results/u/1", (200, "a cat")),
        ("results/u/2", (410, "ResultGone")),
        ("results/another/1", (410, "ResultGone")),
        ("images/another", (410, "ResultGone")),
        ("results/u/../another/1", (410, "ResultGone")),
    ],
)
async def test_no_result_is_served_but_the_jobs_own(
    client: httpx.AsyncClient, jobs: Jobs, bucket: FakeBucket, key: str, answered: tuple[int, str]
) -> None:
    """Who writes a status may name any key, when the admission policies are switched off."""
    said = {"description": "a cat", "alt": "", "caption": "", "describer": "metadata", "seconds": 1}
    bucket.objects[key] = json.dumps(said).encode()
    result = {"describer": "metadata", "summary": "", "key": key}
    status = {"phase": "done", "attempts": 1, "result": result}
    body = {
        "metadata": {"name": "j", "uid": "u"},
        "spec": {"image": {"key": "k"}},
        "status": status,
    }
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    answer = await client.get("/result/j")
    told = answer.json()
    assert (answer.status_code, told.get("reason") or told["description"]) == answered


async def test_idempotency_key(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket
) -> None:
    key = {"Idempotency-Key": "order-17"}
    first, again = [(await submit(client, PNG, headers=key)).json() for _ in range(2)]
    assert first == again
    assert (len(cluster.jobs), len(bucket.objects)) == (1, 1)
    other = await submit(client, picture(size=(9, 9)), headers=key)
    assert (other.status_code, other.json()["reason"]) == (422, "IdempotencyKeyReused")


@pytest.mark.parametrize("name", ["gpt", "Not a label", "../metadata"])
async def test_an_unknown_describer(
    client: httpx.AsyncClient, bucket: FakeBucket, name: str
) -> None:
    answer = await client.post("/submit", files={"image": PNG}, data={"describer": name})
    assert (answer.status_code, answer.json()["reason"]) == (422, "DescriberNotFound")
    assert "Available describers: metadata" in answer.json()["detail"]
    assert bucket.objects == {}


async def test_wishes_reach_the_imagejob(client: httpx.AsyncClient, cluster: Cluster) -> None:
    wishes = {"prompt": "Which breed?", "language": "de", "detail": "high", "maxLength": "300"}
    fields = {**wishes, "fallback": "never", "describer": " "}
    answer = await client.post("/submit", files={"image": PNG}, data=fields)
    spec = cluster.jobs[answer.json()["job_id"]].spec
    assert spec.describer == "metadata"
    assert spec.options is not None
    assert spec.options.model_dump(by_alias=True) == {
        **wishes,
        "maxLength": 300,
        "fallback": "never",
    }
    await client.post("/submit", files={"image": PNG}, data={"prompt": ""})
    assert [job.spec.options for job in cluster.jobs.values()][1:] == [None]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "x" * 4001),
        ("language", "German!"),
        ("detail", "most"),
        ("maxLength", "0"),
        ("maxLength", "ten"),
        ("fallback", "always"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_named(
    client: httpx.AsyncClient, bucket: FakeBucket, name: str, value: str
) -> None:
    answer = await client.post("/submit", files={"image": PNG}, data={name: value})
    assert (answer.status_code, answer.json()["reason"]) == (422, "OptionsInvalid")
    assert name in answer.json()["detail"]
    assert not bucket.objects


async def test_the_form_is_documented(client: httpx.AsyncClient) -> None:
    form = form_schema()["properties"]
    assert form.keys() == {
        "file",
        "describer",
        "prompt",
        "language",
        "detail",
        "maxLength",
        "fallback",
    }
    assert form["detail"] == {
        "type": "string",
        "enum": ["low", "high", "auto"],
        "description": "how closely to look",
    }


async def test_a_describer_of_a_moment_ago(client: httpx.AsyncClient, cluster: Cluster) -> None:
    answer = await client.post("/submit", files={"image": PNG}, data={"describer": "newest"})
    assert answer.status_code == 202
    assert cluster.jobs[answer.json()["job_id"]].spec.describer == "newest"


async def test_whether_there_is_a_describer_may_be_unknown(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket
) -> None:
    cluster.get_fails = UnavailableError(0, "NoAnswer", "away")
    answer = await client.post("/submit", files={"image": PNG}, data={"describer": "newest"})
    assert (answer.status_code, bucket.objects) == (503, {})


async def test_the_describers(client: httpx.AsyncClient, jobs: Jobs) -> None:
    why = {
        "reason": "InsufficientResources",
        "message": "exceeded quota",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    ends = {**why, "type": "Deprecated", "status": "True", "message": "ends soon"}
    fine = {**why, "type": "FallbackReady", "status": "True"}
    conditions = [{"type": "Ready", "status": "False", **why}, ends, fine]
    seen = {"workers": 1, "queued": 3, "conditions": conditions}
    spec = {"provider": "openai", "model": "gpt-x", "fallback": "metadata"}
    body = {"metadata": {"name": "gpt"}, "spec": spec, "status": seen}
    jobs.describers.observe(WatchEvent("ADDED", [body]))
    gpt, metadata = (await client.get("/describers")).json()["describers"]
    assert gpt == {
        "name": "gpt",
        "provider": "openai",
        "model": "gpt-x",
        "ready": False,
        "reason": "InsufficientResources",
        "message": "exceeded quota",
        "fallback": "metadata",
        "warnings": ["ends soon"],
        "workers": 1,
        "queued": 3,
        "processing": 0,
        "default": False,
    }
    assert (metadata["name"], metadata["provider"], metadata["default"]) == (
        "metadata",
        "metadata",
        True,
    )
    jobs.describers.observe(WatchEvent("SYNCED", names=frozenset({"gpt"})))
    assert [found["name"] for found in (await client.get("/describers")).json()["describers"]] == [
        "gpt"
    ]


async def test_a_job_that_waits_for_a_describer_in_trouble_says_so(
    client: httpx.AsyncClient, jobs: Jobs
) -> None:
    job_id = (await submit(client, PNG)).json()["job_id"]
    assert (await client.get(f"/status/{job_id}")).json()["waiting"] is None
    why = {
        "reason": "InsufficientResources",
        "message": "exceeded quota",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [{"type": "Ready", "status": "False", **why}]}
    jobs.describers.observe(
        WatchEvent("MODIFIED", [{"metadata": {"name": "metadata"}, "status": status}])
    )
    waiting = (await client.get(f"/status/{job_id}")).json()["waiting"]
    assert waiting == {"reason": "InsufficientResources", "message": "exceeded quota"}


async def test_polls_are_answered_as_by_the_route(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster
) -> None:
    job_id = (await submit(client, PNG)).json()["job_id"]
    known = await client.get(f"/status/{job_id}")
    jobs.cache.observe(WatchEvent("SYNCED"))
    jobs.cache.observe(WatchEvent("DELETED", [{"metadata": {"name": job_id}}]))
    asked = await client.get(
        f"/status/{job_id}"
    )  # of Kubernetes, because the cache has it no longer
    assert (known.json(), known.headers) == (asked.json(), asked.headers)
    jobs.cache.observe(WatchEvent("ADDED", [{"metadata": {"name": job_id}, "spec": "nonsense"}]))
    strange = {"spec": {"image": {"key": "k"}}, "status": {"phase": "done", "duration": "for ever"}}
    jobs.cache.observe(WatchEvent("ADDED", [{"metadata": {"name": "b"}, **strange}]))
    assert (await client.get("/status/b")).json()["duration_seconds"] is None
    odd = await client.get(f"/status/{job_id}")
    assert (odd.status_code, odd.json()["reason"]) == (502, "JobUnreadable")


async def test_no_more_than_can_wait(
    client: httpx.AsyncClient, jobs: Jobs, bucket: FakeBucket
) -> None:
    limit = SETTINGS.max_unfinished_jobs
    waiting = {"spec": {"image": {"key": "images/1"}}}
    jobs.cache.observe(
        WatchEvent("PAGE", [{"metadata": {"name": f"j{n}"}, **waiting} for n in range(limit)])
    )
    answer = await submit(client, PNG)
    assert (answer.status_code, answer.json()["reason"]) == (429, "TooManyJobs")
    assert answer.headers["Retry-After"]
    assert bucket.objects == {}


async def test_storage_away(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    bucket.away = True
    answer = await submit(client, PNG)
    assert (answer.status_code, answer.json()["reason"]) == (503, "StorageUnavailable")
    assert answer.headers["Retry-After"]
    assert cluster.jobs == {}


async def test_kubernetes_away(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    cluster.create_fails = UnavailableError(0, "NoAnswer", "away")
    answer = await submit(client, PNG)
    assert (answer.status_code, answer.json()["reason"]) == (503, "KubernetesUnavailable")
    # The request may yet be carried out, and then needs its image; else the sweep takes it.
    assert len(bucket.objects) == 1


async def test_a_create_that_lands_after_its_refusal_keeps_its_image(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    key = {"Idempotency-Key": "order-18"}
    cluster.create_fails = UnavailableError(0, "NoAnswer", "away")
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


async def test_our_own_create_seen_twice_keeps_its_image(
    client: httpx.AsyncClient, bucket: FakeBucket, cluster: Cluster
) -> None:
    """A request that a proxy repeats is answered with AlreadyExists by our own object."""
    cluster.create_fails, cluster.lose_answer = AlreadyExistsError(409, "AlreadyExists", "j"), True
    answer = await submit(client, PNG, headers={"Idempotency-Key": "order-19"})
    assert answer.status_code == 202
    assert len(bucket.objects) == 1


async def test_a_job_that_only_the_lagging_watch_still_shows_is_no_answer(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    key = {"Idempotency-Key": "order-20"}
    name = (await submit(client, PNG, headers=key)).json()["job_id"]
    del cluster.jobs[name]
    assert (await submit(client, PNG, headers=key)).status_code == 202
    assert name in cluster.jobs


@pytest.mark.parametrize("path", ["/status/job-x", "/result/job-x"])
@pytest.mark.parametrize(
    "error", [UnavailableError(0, "NoAnswer", "away"), KubeError(403, "Forbidden", "no")]
)
async def test_reads_while_kubernetes_is_away(
    client: httpx.AsyncClient, cluster: Cluster, path: str, error: KubeError
) -> None:
    cluster.get_fails = error
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["reason"]) == (503, "KubernetesUnavailable")


async def test_header_bombs_do_not_stall_the_rest(client: httpx.AsyncClient) -> None:
    """A header of a hundred thousand parts is read beside the event loop, not on it."""
    slow = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 10_000
    task = asyncio.create_task(submit(client, slow))
    for _ in range(20):
        assert (await client.get("/status/nope")).status_code == 404
    assert (await task).status_code in {415, 422}


async def test_a_charset_that_does_not_fit(client: httpx.AsyncClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--x--\r\n'
    kind = {"Content-Type": "Multipart/Form-Data; boundary=x; charset=undefined"}
    assert (await client.post("/submit", content=body, headers=kind)).status_code == 400


async def test_a_lost_answer_is_no_lost_job(client: httpx.AsyncClient, cluster: Cluster) -> None:
    cluster.create_fails, cluster.lose_answer = UnavailableError(0, "NoAnswer", "away"), True
    answer = await submit(client, PNG)
    assert answer.status_code == 202
    assert list(cluster.jobs) == [answer.json()["job_id"]]
