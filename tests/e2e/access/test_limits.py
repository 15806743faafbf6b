"""Tests of owners' limits and usage on the real system, with its database and its replicas."""

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import FAST_DESCRIBER, NAMESPACE, wait_for
from PIL import Image
from releases import CHART, RELEASE, Helm

from access.conftest import WAIT, NewClient, Secured, client_with, submit_as

LIMITED = f"e2e-limited-{uuid.uuid4().hex[:12]}"
"""An owner with limits of its own. An earlier run of today may have used up those of its owner."""
BYTES_PER_DAY = 100_000
MAX_REQUESTS = 1000
"""More requests than the burst of all replicas together."""


@pytest.fixture(scope="module")
def limited(secured_release: Secured, helm: Helm) -> Iterator[str]:
    """Give an owner limits of its own, and take them away after the module's tests."""
    set_limit(helm, BYTES_PER_DAY)
    yield LIMITED
    set_limit(helm, 0)


def set_limit(helm: Helm, size: int) -> None:
    value = f"limits.owners.{LIMITED}.bytesPerDay={size}"
    helm("upgrade", RELEASE, CHART, "-n", NAMESPACE, "--reuse-values", "--set", value, *WAIT)


def new_owner() -> str:
    return f"e2e-{uuid.uuid4().hex[:12]}"


def noise(side: int) -> bytes:
    """Return an image of about three bytes for each pixel, as no other."""
    out = io.BytesIO()
    Image.effect_noise((side, side), 100).convert("RGB").save(out, "PNG", compress_level=0)
    return out.getvalue()


def usage(http: httpx.Client, **query: str) -> dict[str, Any]:
    answer = http.get("/usage", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def images(http: httpx.Client, **query: str) -> int:
    return sum(row["images"] for row in usage(http, **query)["days"])


def until_done(http: httpx.Client, job: str) -> None:
    wait_for(lambda: http.get(f"/status/{job}").json()["status"], lambda it: it == "done")


def test_every_answer_says_how_many_requests_are_left(new_client: NewClient) -> None:
    http = new_client(owner=new_owner()).http
    for path in ("/limits", "/status/job-unknown", "/usage"):
        answer = http.get(path)
        assert answer.headers["RateLimit-Policy"].startswith('"default";q=')
        assert answer.headers["RateLimit"].startswith('"default";r=')


def test_too_many_requests_of_an_owner_disturb_no_other(new_client: NewClient) -> None:
    busy, other = (new_client(owner=new_owner()).http for _ in range(2))
    refused = next((it for _ in range(MAX_REQUESTS) if (it := busy.get("/limits")).is_error), None)
    assert refused is not None
    assert (refused.status_code, refused.json()["reason"]) == (429, "RateLimited")
    assert int(refused.headers["Retry-After"]) >= 1

    assert other.get("/limits").status_code == 200
    wait_for(lambda: busy.get("/limits").status_code, lambda status: status == 200)


def test_usage_is_counted_once_and_stays(
    new_client: NewClient, admin: httpx.Client, photo: Path
) -> None:
    owner, data = new_owner(), photo.read_bytes()
    http, stranger = (new_client(owner=it).http for it in (owner, new_owner()))
    jobs = [submit_as(http, data).json()["job_id"] for _ in range(2)]
    for job in jobs:
        until_done(http, job)
    wait_for(lambda: images(http), lambda count: count == 2)

    files = [("files", (f"{it}.jpg", data)) for it in range(3)]
    batch = http.post("/batches", data={"describer": FAST_DESCRIBER}, files=files)
    assert batch.status_code == 202, batch.text
    wait_for(lambda: images(http), lambda count: count == 5)

    assert http.delete(f"/jobs/{jobs[0]}").is_success
    (row,) = usage(http)["days"]
    assert (row["images"], row["failed"], row["bytes"]) == (5, 0, 5 * len(data))
    assert row["describer"] == FAST_DESCRIBER
    assert usage(admin, owner=owner)["days"] == [row]
    assert usage(stranger)["days"] == []
    assert stranger.get("/usage", params={"owner": owner}).status_code == 403


def test_bytes_of_a_day_are_limited(
    limited: str, secured_release: Secured, new_client: NewClient
) -> None:
    key = new_client(owner=limited).key
    with client_with(secured_release.url, key) as http:
        assert http.get("/limits").json()["ownerLimits"]["bytesPerDay"] == BYTES_PER_DAY
        first = submit_as(http, noise(150))  # 67,500 bytes
        assert first.status_code == 202, first.text

        refused = submit_as(http, noise(150))
        assert (refused.status_code, refused.json()["reason"]) == (429, "DailyBytesUsed")
        until_done(http, first.json()["job_id"])
        wait_for(lambda: images(http), lambda count: count >= 1)
        assert submit_as(http, noise(150)).status_code == 429
        assert submit_as(http, noise(8)).status_code == 202
