"""Tests of POST /inbox: storing and replacing images."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from api_fakes import LIMIT
from api_server import Connection
from fakes.s3 import S3, Conditions
from form_bytes import FORM_TYPE, file, form, text
from inbox_requests import GIF, JPEG, PNG, imagejob, outcome, put, stored
from vision_node_api.services import inbox as module
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent


def hold_first_write() -> Callable[[str], Awaitable[None]]:
    """Return a callback that delays the first of two writes until the second one has arrived."""
    both = asyncio.Barrier(2)
    waits = iter([both, both])

    async def hold(_: str) -> None:
        if barrier := next(waits, None):
            await barrier.wait()

    return hold


class TestPut:
    async def test_stored_image_is_returned(self, web: httpx.AsyncClient, s3: S3) -> None:
        response = await put(web, "holiday/cat.png", PNG)
        body = response.json()
        assert (response.status_code, response.headers["location"]) == (
            201,
            "/inbox/holiday/cat.png",
        )
        assert stored(s3) == {"inbox/aaaabbbbcccc/holiday/cat.png": PNG}

        modified = datetime.fromisoformat(body.pop("modified_at"))
        assert abs(modified - datetime.now(UTC)) < timedelta(seconds=5)
        assert datetime.fromisoformat(body.pop("expires_at")) == modified + timedelta(days=7)
        assert body == {
            "name": "holiday/cat.png",
            "key": "inbox/aaaabbbbcccc/holiday/cat.png",
            "size_bytes": len(PNG),
            "media_type": "image/png",
            "sha256": hashlib.sha256(PNG).hexdigest(),
            "spec": {"image": {"key": "inbox/aaaabbbbcccc/holiday/cat.png"}},
        }

    @pytest.mark.parametrize(
        ("media_type", "body"),
        [
            ("image/png", PNG),
            ("application/octet-stream", PNG),
            (FORM_TYPE, form(file("file", PNG))),
            (FORM_TYPE, form(file("picture", PNG, "another name.png"))),
        ],
    )
    async def test_every_body_that_submit_accepts_is_accepted(
        self, web: httpx.AsyncClient, s3: S3, media_type: str, body: bytes
    ) -> None:
        response = await web.post(
            "/inbox/a.png", content=body, headers={"Content-Type": media_type}
        )
        assert (response.status_code, stored(s3)) == (201, {"inbox/aaaabbbbcccc/a.png": PNG})

    @pytest.mark.parametrize(
        ("media_type", "body", "status", "reason"),
        [
            ("application/octet-stream", b"", 400, "EmptyImage"),
            ("application/octet-stream", b"text " * 100, 415, "UnsupportedFormat"),
            ("application/octet-stream", PNG + bytes(LIMIT), 413, "ImageTooLarge"),
            ("text/plain", PNG, 415, "NotAForm"),
            (FORM_TYPE, form(text("name", "x")), 400, "MissingImage"),
            (FORM_TYPE, form(file("file", PNG), text("prompt", "what?")), 422, "OptionsInvalid"),
            (FORM_TYPE, form(file("file", PNG), text("replace", "true")), 422, "OptionsInvalid"),
            (FORM_TYPE, form(file("a", PNG), file("b", JPEG)), 400, "TooManyImages"),
        ],
    )
    async def test_every_upload_that_submit_refuses_is_refused(
        self, web: httpx.AsyncClient, s3: S3, media_type: str, body: bytes, status: int, reason: str
    ) -> None:
        response = await web.post(
            "/inbox/a.png", content=body, headers={"Content-Type": media_type}
        )
        assert (outcome(response), stored(s3)) == ((status, reason), {})

    async def test_invalid_name_is_refused_before_the_body_is_sent(self, port: int) -> None:
        """With `Expect: 100-continue`, the client gets the problem before it sends the image."""
        head = (
            "POST /inbox/.png HTTP/1.1\r\nHost: api\r\nContent-Length: 1000\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        async with Connection.open(port) as connection:
            await connection.send(head.encode())
            response = await connection.response()

        assert (response.status, response.json["reason"]) == (422, "InvalidName")
        assert response.headers["connection"] == "close"

    async def test_image_counts_as_an_upload_while_it_is_being_stored(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs
    ) -> None:
        uploads: list[tuple[int, int]] = []

        async def record(_: str) -> None:
            uploads.append((jobs.uploads.uploads, jobs.uploads.held_bytes))

        s3.before_put = record
        assert (await put(web, "a.png", PNG)).status_code == 201
        assert uploads == [(1, len(PNG))]
        assert (jobs.uploads.uploads, jobs.uploads.held_bytes) == (0, 0)


class TestReplacing:
    """Tests of uploads under a name that is already taken."""

    @pytest.mark.parametrize("query", ["", "?replace=true"])
    async def test_same_bytes_restart_the_retention_period(
        self, web: httpx.AsyncClient, s3: S3, query: str
    ) -> None:
        await put(web, "a.png", PNG)
        s3.objects["inbox/aaaabbbbcccc/a.png"].modified = datetime.now(UTC) - timedelta(days=6)
        response = await put(web, "a.png", PNG, query)
        assert (response.status_code, stored(s3)) == (200, {"inbox/aaaabbbbcccc/a.png": PNG})
        assert s3.objects["inbox/aaaabbbbcccc/a.png"].modified > datetime.now(UTC) - timedelta(
            minutes=1
        )

    async def test_different_bytes_are_refused(self, web: httpx.AsyncClient, s3: S3) -> None:
        await put(web, "a.png", PNG)
        response = await put(web, "a.png", JPEG)
        assert (outcome(response), stored(s3)) == (
            (409, "ObjectExists"),
            {"inbox/aaaabbbbcccc/a.png": PNG},
        )
        assert "?replace=true" in response.json()["detail"]

    async def test_different_bytes_are_stored_with_replace(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        await put(web, "a.png", PNG)
        response = await put(web, "a.png", JPEG, "?replace=true")
        assert (response.status_code, response.json()["media_type"]) == (200, "image/jpeg")
        assert stored(s3) == {"inbox/aaaabbbbcccc/a.png": JPEG}

    @pytest.mark.parametrize(
        ("existing", "name"), [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a"), ("a/b/c", "a")]
    )
    async def test_name_cannot_be_both_a_file_and_a_folder(
        self, web: httpx.AsyncClient, s3: S3, existing: str, name: str
    ) -> None:
        """MinIO accepts both names, but then lists only the file."""
        s3.put(f"inbox/aaaabbbbcccc/{existing}")
        response = await put(web, name, PNG)
        assert outcome(response) == (409, "ObjectExists")
        assert f"inbox/aaaabbbbcccc/{existing}" in response.json()["detail"]
        assert (await put(web, f"{name}x", PNG)).status_code == (
            409 if name.startswith(f"{existing}/") else 201
        )

    async def test_object_without_a_checksum_counts_as_different(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/a.png", PNG)
        assert outcome(await put(web, "a.png", PNG)) == (409, "ObjectExists")
        assert (await put(web, "a.png", PNG, "?replace=true")).status_code == 200

    @pytest.mark.parametrize(("data", "status"), [(PNG, 200), (JPEG, 409)])
    async def test_image_of_an_unfinished_job_is_kept(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, data: bytes, status: int
    ) -> None:
        await put(web, "a.png", PNG)
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("waits", "inbox/aaaabbbbcccc/a.png")]))
        response = await put(web, "a.png", data, "?replace=true")
        assert (response.status_code, stored(s3)) == (status, {"inbox/aaaabbbbcccc/a.png": PNG})
        if status == 409:
            assert outcome(response) == (409, "ObjectInUse")
            assert response.json()["imagejobs"] == ["waits"]

    @pytest.mark.parametrize("conditions", ["kept", "ignored", "unknown"])
    async def test_replacing_works_with_and_without_conditional_writes(
        self, web: httpx.AsyncClient, s3: S3, conditions: Conditions
    ) -> None:
        s3.conditions = conditions
        responses = [await put(web, "a.png", data) for data in (PNG, PNG, JPEG)]
        assert [response.status_code for response in responses] == [201, 200, 409]
        assert (await put(web, "a.png", JPEG, "?replace=true")).status_code == 200
        assert stored(s3) == {"inbox/aaaabbbbcccc/a.png": JPEG}

    async def test_one_of_two_simultaneous_writes_wins(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        """Both requests find the name unused before either one writes."""
        s3.before_put = hold_first_write()
        responses = await asyncio.gather(put(web, "a.png", PNG), put(web, "a.png", JPEG))

        assert sorted(outcome(response) for response in responses) == [
            (201, ""),
            (409, "ObjectExists"),
        ]

        winner = next(response for response in responses if response.status_code == 201)
        (data,) = stored(s3).values()
        assert hashlib.sha256(data).hexdigest() == winner.json()["sha256"]

    async def test_simultaneous_writes_of_the_same_bytes_both_succeed(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.before_put = hold_first_write()
        responses = await asyncio.gather(put(web, "a.png", PNG), put(web, "a.png", PNG))
        assert sorted(response.status_code for response in responses) == [200, 201]

    async def test_replacing_an_object_that_keeps_changing_is_refused(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        pictures = iter([JPEG, GIF] * 10)

        async def interfere(key: str) -> None:
            s3.put(key, next(pictures))

        s3.before_put = interfere
        response = await put(web, "a.png", PNG, "?replace=true")
        assert outcome(response) == (409, "ObjectChanged")
        assert len(s3.requests) <= 3 * module.STORE_ATTEMPTS
