"""/inbox over real sockets on both sides: uvicorn in front, a server with the S3 protocol behind."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from api_fakes import LIMIT, picture
from api_server import Connection, ask, post
from fakes.s3 import S3, Conditions
from fastapi import FastAPI
from form_bytes import FORM_TYPE, file, form, text
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services import inbox as module
from vision_node_api.services.inbox_cursor import write_cursor
from vision_node_api.services.inbox_name import (
    MAX_KEY_BYTES,
    MAX_NAME_BYTES,
    MAX_PART_BYTES,
    is_inbox_name,
)
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import WatchEvent

PNG, JPEG, GIF = picture(), picture("JPEG"), picture("GIF")
RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


@pytest.fixture
async def web(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client


def stored(s3: S3) -> dict[str, bytes]:
    return {key: it.data for key, it in s3.objects.items()}


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("reason", "")


async def put(web: httpx.AsyncClient, name: str, data: bytes, query: str = "") -> httpx.Response:
    return await web.post(f"/inbox/{name}{query}", content=data, headers=RAW)


def imagejob(name: str, key: str, phase: str = "queued") -> dict[str, Any]:
    status = {"phase": phase, **({"attempts": 1} if phase != "queued" else {})}
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {"image": {"key": key}},
        "status": status,
    }


def meeting_of_two() -> Callable[[str], Awaitable[None]]:
    """Return what lets the first two writes begin only when both are there."""
    both = asyncio.Barrier(2)
    waits = iter([both, both])

    async def meet(_: str) -> None:
        if barrier := next(waits, None):
            await barrier.wait()

    return meet


class TestPut:
    async def test_what_comes_of_it(self, web: httpx.AsyncClient, s3: S3) -> None:
        answer = await put(web, "holiday/cat.png", PNG)
        said = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, "/inbox/holiday/cat.png")
        assert stored(s3) == {"inbox/holiday/cat.png": PNG}
        modified = datetime.fromisoformat(said.pop("modified_at"))
        assert abs(modified - datetime.now(UTC)) < timedelta(seconds=5)
        assert datetime.fromisoformat(said.pop("expires_at")) == modified + timedelta(days=7)
        assert said == {
            "name": "holiday/cat.png",
            "key": "inbox/holiday/cat.png",
            "size_bytes": len(PNG),
            "media_type": "image/png",
            "sha256": hashlib.sha256(PNG).hexdigest(),
            "spec": {"image": {"key": "inbox/holiday/cat.png"}},
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
    async def test_every_body_that_submit_takes(
        self, web: httpx.AsyncClient, s3: S3, media_type: str, body: bytes
    ) -> None:
        answer = await web.post("/inbox/a.png", content=body, headers={"Content-Type": media_type})
        assert (answer.status_code, stored(s3)) == (201, {"inbox/a.png": PNG})

    @pytest.mark.parametrize(
        ("media_type", "body", "status", "reason"),
        [
            ("application/octet-stream", b"", 400, "EmptyImage"),
            ("application/octet-stream", b"text " * 100, 415, "UnsupportedFormat"),
            ("application/octet-stream", PNG + bytes(LIMIT), 413, "ImageTooLarge"),
            ("text/plain", PNG, 415, "NotAForm"),
            (FORM_TYPE, form(text("name", "x")), 400, "MissingImage"),
            (FORM_TYPE, form(file("file", PNG), text("prompt", "what?")), 422, "OptionsInvalid"),
            (FORM_TYPE, form(file("a", PNG), file("b", JPEG)), 400, "TooManyImages"),
        ],
    )
    async def test_what_submit_refuses_is_refused_here_too(
        self, web: httpx.AsyncClient, s3: S3, media_type: str, body: bytes, status: int, reason: str
    ) -> None:
        answer = await web.post("/inbox/a.png", content=body, headers={"Content-Type": media_type})
        assert (told(answer), stored(s3)) == ((status, reason), {})

    async def test_nothing_is_sent_for_a_bad_name(self, port: int) -> None:
        """A client that sends `Expect: 100-continue` learns about the name before it sends the image."""
        head = "POST /inbox/.png HTTP/1.1\r\nHost: api\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
        async with Connection.open(port) as connection:
            await connection.send(head.encode())
            answer = await connection.answer()
        assert (answer.status, answer.json["reason"]) == (422, "InvalidName")
        assert answer.headers["connection"] == "close"

    async def test_it_counts_as_an_upload_while_it_is_stored(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs
    ) -> None:
        seen: list[tuple[int, int]] = []

        async def look(_: str) -> None:
            seen.append((jobs.uploads.uploads, jobs.uploads.held_bytes))

        s3.before_put = look
        assert (await put(web, "a.png", PNG)).status_code == 201
        assert seen == [(1, len(PNG))]
        assert (jobs.uploads.uploads, jobs.uploads.held_bytes) == (0, 0)


class TestReplacing:
    """Uploads under a name that already exists."""

    @pytest.mark.parametrize("query", ["", "?replace=true"])
    async def test_the_same_bytes_make_it_young_again(
        self, web: httpx.AsyncClient, s3: S3, query: str
    ) -> None:
        await put(web, "a.png", PNG)
        s3.objects["inbox/a.png"].modified = datetime.now(UTC) - timedelta(days=6)
        answer = await put(web, "a.png", PNG, query)
        assert (answer.status_code, stored(s3)) == (200, {"inbox/a.png": PNG})
        assert s3.objects["inbox/a.png"].modified > datetime.now(UTC) - timedelta(minutes=1)

    async def test_other_bytes_are_refused(self, web: httpx.AsyncClient, s3: S3) -> None:
        await put(web, "a.png", PNG)
        answer = await put(web, "a.png", JPEG)
        assert (told(answer), stored(s3)) == ((409, "ObjectExists"), {"inbox/a.png": PNG})
        assert "?replace=true" in answer.json()["detail"]

    async def test_unless_they_shall_replace_it(self, web: httpx.AsyncClient, s3: S3) -> None:
        await put(web, "a.png", PNG)
        answer = await put(web, "a.png", JPEG, "?replace=true")
        assert (answer.status_code, answer.json()["media_type"]) == (200, "image/jpeg")
        assert stored(s3) == {"inbox/a.png": JPEG}

    @pytest.mark.parametrize(
        ("there", "name"), [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a"), ("a/b/c", "a")]
    )
    async def test_no_name_is_both_a_file_and_a_folder(
        self, web: httpx.AsyncClient, s3: S3, there: str, name: str
    ) -> None:
        """MinIO takes both, and then lists only the upper one."""
        s3.put(f"inbox/{there}")
        answer = await put(web, name, PNG)
        assert told(answer) == (409, "ObjectExists")
        assert f"inbox/{there}" in answer.json()["detail"]
        assert (await put(web, f"{name}x", PNG)).status_code == (
            409 if name.startswith(f"{there}/") else 201
        )

    async def test_bytes_that_something_else_has_put_there_count_as_others(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/a.png", PNG)
        assert told(await put(web, "a.png", PNG)) == (409, "ObjectExists")
        assert (await put(web, "a.png", PNG, "?replace=true")).status_code == 200

    @pytest.mark.parametrize(("data", "status"), [(PNG, 200), (JPEG, 409)])
    async def test_an_unfinished_job_keeps_its_image(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, data: bytes, status: int
    ) -> None:
        await put(web, "a.png", PNG)
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("waits", "inbox/a.png")]))
        answer = await put(web, "a.png", data, "?replace=true")
        assert (answer.status_code, stored(s3)) == (status, {"inbox/a.png": PNG})
        if status == 409:
            assert told(answer) == (409, "ObjectInUse")
            assert answer.json()["imagejobs"] == ["waits"]

    @pytest.mark.parametrize("conditions", ["kept", "ignored", "unknown"])
    async def test_whatever_the_store_knows_of_conditions(
        self, web: httpx.AsyncClient, s3: S3, conditions: Conditions
    ) -> None:
        s3.conditions = conditions
        answers = [await put(web, "a.png", data) for data in (PNG, PNG, JPEG)]
        assert [answer.status_code for answer in answers] == [201, 200, 409]
        assert (await put(web, "a.png", JPEG, "?replace=true")).status_code == 200
        assert stored(s3) == {"inbox/a.png": JPEG}

    async def test_of_two_at_once_one_wins(self, web: httpx.AsyncClient, s3: S3) -> None:
        """Both find the name free, and only then does either write."""
        s3.before_put = meeting_of_two()
        answers = await asyncio.gather(put(web, "a.png", PNG), put(web, "a.png", JPEG))
        assert sorted(told(answer) for answer in answers) == [(201, ""), (409, "ObjectExists")]
        winner = next(answer for answer in answers if answer.status_code == 201)
        (data,) = stored(s3).values()
        assert hashlib.sha256(data).hexdigest() == winner.json()["sha256"]

    async def test_of_two_with_the_same_bytes_both_win(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.before_put = meeting_of_two()
        answers = await asyncio.gather(put(web, "a.png", PNG), put(web, "a.png", PNG))
        assert sorted(answer.status_code for answer in answers) == [200, 201]

    async def test_a_name_that_never_keeps_still(self, web: httpx.AsyncClient, s3: S3) -> None:
        pictures = iter([JPEG, GIF] * 10)

        async def interfere(key: str) -> None:
            s3.put(key, next(pictures))

        s3.before_put = interfere
        answer = await put(web, "a.png", PNG, "?replace=true")
        assert told(answer) == (409, "ObjectChanged")
        assert len(s3.requests) <= 3 * module.STORE_ATTEMPTS


SOUND = [
    "photo.jpg",
    "0",
    "Photo_1-a.JPG",
    "holiday/2026/photo.jpg",
    "holiday/_DSC0001.jpg",
    "holiday/-.jpg",
    "a.",
    "a" * MAX_PART_BYTES,
    "/".join(["a" * 100] * 5) + "/b",
]

UNSOUND = {
    "empty": "",
    "one that ends with a slash": "holiday/",
    "one that begins with a slash": "/photo.jpg",
    "an empty part": "a//b",
    "climbing": "../images/a",
    "climbing within": "a/../../images/a",
    "climbing, percent-encoded": "%2e%2e/images/a",
    "climbing with encoded slashes": "..%2Fimages%2Fa",
    "twice encoded": "%252e%252e/images",
    "a dot as a part": "a/%2e/b",
    "two dots within": "a..b",
    "a hidden file": ".jpg",
    "a hidden file in a folder": "a/.DS_Store",
    "a NUL": "a%00.jpg",
    "a line break": "a%0d%0aX-A:%20b",
    "a tab": "a%09b",
    "DEL": "a%7f",
    "a space": "my%20photo.jpg",
    "a backslash": "a%5Cb",
    "a plus": "a+b",
    "a percent sign": "a%25b",
    "a question mark": "a%3Fb",
    "é, composed": "%C3%A9",
    "é, decomposed": "e%CC%81",
    "a full-width letter": "%EF%BD%81",
    "a digit of another script": "%D9%A1",
    "what is no UTF-8": "a%FF",
    "a surrogate": "%ED%A0%80",
    "a leading hyphen": "-rf",
    "a leading underscore": "_a",
    "a part too long for a directory": "a" * (MAX_PART_BYTES + 1),
    "too long": "/".join(["a" * 100] * 5) + "/bc",
    "a file of MinIO's": "a/xl.meta",
}
"""Invalid names as they appear in the request."""


class TestNames:
    @pytest.mark.parametrize("name", SOUND)
    async def test_sound(self, web: httpx.AsyncClient, s3: S3, name: str) -> None:
        assert (await put(web, name, PNG)).status_code == 201
        assert list(s3.objects) == [f"inbox/{name}"]
        assert (await web.get(f"/inbox/{name}")).json()["name"] == name
        assert (await web.delete(f"/inbox/{name}")).status_code == 204

    @pytest.mark.parametrize("case", UNSOUND)
    async def test_unsound(self, port: int, s3: S3, case: str) -> None:
        """Sent as bytes, because a client library would normalize some of them."""
        s3.put("images/a")
        name = UNSOUND[case]
        wanted = (404, "NotFound") if case == "a line break" else (422, "InvalidName")

        async with Connection.open(port) as connection:
            # GET of the empty name is the list.
            for method in ("POST", "GET", "DELETE") if name else ("POST", "DELETE"):
                head = f"{method} /inbox/{name} HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n"
                await connection.send(head.encode())
                answer = await connection.answer()
                assert answer.is_problem
                assert (answer.status, answer.json["reason"]) == wanted, method
                assert answer.json["detail"].isprintable()

        assert (s3.requests, list(s3.objects)) == ([], ["images/a"])

    async def test_an_encoded_slash_is_a_slash(self, port: int, s3: S3) -> None:
        """OpenAPI clients, such as the page /docs, encode it in a path parameter."""
        answer = await ask(
            port, post(PNG, "Content-Type: image/png", path="/inbox/holiday%2Fa.png")
        )
        assert (answer.status, answer.headers["location"]) == (201, "/inbox/holiday/a.png")
        assert list(s3.objects) == ["inbox/holiday/a.png"]

    async def test_no_segment_climbs_out_of_the_root_path(self, app: FastAPI) -> None:
        served = add_middleware(app, HttpSettings(root_path="/apps/vision"), app.state.metrics)
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            for path in ("/inbox/a.png", "/apps/vision/inbox/a.png"):
                answer = await client.post(path, content=PNG, headers=RAW)
                assert answer.headers["location"] == "/apps/vision/inbox/a.png"

    @pytest.mark.parametrize("name", [*SOUND, *UNSOUND.values(), "a b", "é", "a\n", "a/b\n"])
    def test_what_is_sound_here_is_sound_in_an_imagejob(self, name: str) -> None:
        crd = yaml.safe_load(Path("crds/imagejobs.vision-node.dev.yaml").read_text())
        version = crd["spec"]["versions"][0]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        rule = spec["properties"]["image"]["properties"]["key"]
        key = f"inbox/{name}"
        allowed = bool(re.search(rule["pattern"], key)) and len(key) <= rule["maxLength"]
        allowed = allowed and not (".." in key or "//" in key or key.endswith(("/", "\n")))
        assert is_inbox_name(name) <= allowed
        assert rule["maxLength"] == MAX_KEY_BYTES == MAX_NAME_BYTES + len("inbox/")


class TestShow:
    async def test_it_tells_of_an_object(self, web: httpx.AsyncClient, s3: S3) -> None:
        said = (await put(web, "a.png", PNG)).json()
        found = (await web.get("/inbox/a.png")).json()
        times = ("modified_at", "expires_at")
        assert {k: v for k, v in found.items() if k not in times} == {
            k: v for k, v in said.items() if k not in times
        }
        assert (await web.head("/inbox/a.png")).status_code == 200

    async def test_one_that_something_else_has_put_there(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/a", b"")
        answer = (await web.get("/inbox/a")).json()
        assert (answer["size_bytes"], answer["sha256"]) == (0, None)

    async def test_one_that_is_not_there(self, web: httpx.AsyncClient) -> None:
        assert told(await web.get("/inbox/a")) == (404, "ObjectNotFound")

    async def test_without_expiry(self, web: httpx.AsyncClient, jobs: Jobs) -> None:
        object.__setattr__(jobs, "settings", replace(jobs.settings, inbox_kept=None))
        assert (await put(web, "a.png", PNG)).json()["expires_at"] is None


class TestList:
    async def all(self, web: httpx.AsyncClient, **query: Any) -> tuple[list[str], int]:
        """Return the names on all pages, and how many pages there were."""
        names, pages, cursor = [], 0, None
        while True:
            params = {**query, **({"cursor": cursor} if cursor else {})}
            answer = await web.get("/inbox", params=params)
            assert answer.status_code == 200, answer.text
            said = answer.json()
            names += [found["name"] for found in said["objects"]]
            pages, cursor = pages + 1, said["next_cursor"]
            if cursor is None:
                return names, pages

    async def test_an_entry(self, web: httpx.AsyncClient, s3: S3) -> None:
        modified = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        s3.put("inbox/a/b.png", PNG, modified)
        answer = await web.get("/inbox")
        assert answer.json() == {
            "objects": [
                {
                    "name": "a/b.png",
                    "key": "inbox/a/b.png",
                    "size_bytes": len(PNG),
                    "modified_at": "2026-01-02T03:04:05Z",
                    "expires_at": "2026-01-09T03:04:05Z",
                }
            ],
            "next_cursor": None,
        }

    async def test_an_empty_inbox(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.put("images/a")
        assert await self.all(web) == ([], 1)

    @pytest.mark.parametrize(
        ("count", "limit", "pages"), [(5, 2, 3), (4, 2, 2), (3, 1000, 1), (101, None, 2)]
    )
    async def test_pages(
        self, web: httpx.AsyncClient, s3: S3, count: int, limit: int | None, pages: int
    ) -> None:
        names = [f"{number:03}.png" for number in range(count)]
        for name in names:
            s3.put(f"inbox/{name}")
        assert await self.all(web, **({"limit": limit} if limit else {})) == (names, pages)

    async def test_a_store_with_shorter_pages(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.page = 1
        for name in "abc":
            s3.put(f"inbox/{name}")
        assert await self.all(web, limit=100) == (["a", "b", "c"], 3)

    @pytest.mark.parametrize("prefix", ["holiday/", "holiday/a", "h"])
    async def test_a_prefix(self, web: httpx.AsyncClient, s3: S3, prefix: str) -> None:
        for key in (
            "inbox/a",
            "inbox/holiday/a1",
            "inbox/holiday/a2",
            "inbox/i",
            "images/holiday/a",
        ):
            s3.put(key)

        names, pages = await self.all(web, prefix=prefix, limit=1)
        assert (names, pages) == (["holiday/a1", "holiday/a2"], 2)

    @pytest.mark.parametrize(
        "prefix", ["", "a", "a.", "a/", "a/b-", "a" * MAX_PART_BYTES, "xl.met", "a/xl.meta"]
    )
    async def test_a_prefix_is_the_beginning_of_a_name(
        self, web: httpx.AsyncClient, prefix: str
    ) -> None:
        assert (await web.get("/inbox", params={"prefix": prefix})).status_code == 200

    async def test_a_slash_at_the_end(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.put("inbox/a")
        assert (await web.get("/inbox/")).json() == (await web.get("/inbox")).json()

    @pytest.mark.parametrize("code", ["XMinioInvalidObjectName", "XMinioInvalidResourceName"])
    async def test_a_place_that_no_bucket_can_have_is_no_outage(
        self, web: httpx.AsyncClient, s3: S3, code: str
    ) -> None:
        s3.fails = 400, code
        answer = await web.get("/inbox", params={"cursor": write_cursor("inbox/a/../b")})
        assert told(answer) == (422, "InvalidCursor")
        assert "storage" not in (await web.get("/readyz")).json()["details"]

    async def test_objects_come_and_go_between_pages(self, web: httpx.AsyncClient, s3: S3) -> None:
        for name in "bcd":
            s3.put(f"inbox/{name}")
        cursor = (await web.get("/inbox", params={"limit": 2})).json()["next_cursor"]
        del s3.objects["inbox/c"]
        s3.put("inbox/a")
        page = (await web.get("/inbox", params={"limit": 2, "cursor": cursor})).json()
        assert [found["name"] for found in page["objects"]] == ["d"]

    async def test_what_no_imagejob_can_name_is_left_out(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        for key in ("inbox/", "inbox/.a", "inbox/a b", "inbox/b", "inbox/ä"):
            s3.put(key)
        assert await self.all(web, limit=1) == (["b"], 5)

    @pytest.mark.parametrize(
        ("query", "reason"),
        [
            ({"limit": 0}, "InvalidRequest"),
            ({"limit": 1001}, "InvalidRequest"),
            ({"prefix": "../images/"}, "InvalidName"),
            ({"prefix": "/"}, "InvalidName"),
            ({"prefix": "a\0"}, "InvalidName"),
            ({"prefix": "a" * 507}, "InvalidName"),
            ({"prefix": "a/../b"}, "InvalidName"),
            ({"prefix": "a//"}, "InvalidName"),
            ({"prefix": "a/./"}, "InvalidName"),
            ({"prefix": "a.."}, "InvalidName"),
            ({"prefix": ".a"}, "InvalidName"),
            ({"cursor": "?"}, "InvalidCursor"),
            ({"cursor": "é"}, "InvalidCursor"),
            ({"cursor": "AAAAA"}, "InvalidCursor"),
            ({"cursor": "_w"}, "InvalidCursor"),
            ({"cursor": write_cursor("images/a")}, "InvalidCursor"),
            ({"cursor": write_cursor("inbox/a"), "prefix": "b"}, "InvalidCursor"),
            ({"cursor": "a" * 1401}, "InvalidRequest"),
        ],
    )
    async def test_refusals(
        self, web: httpx.AsyncClient, s3: S3, query: dict[str, Any], reason: str
    ) -> None:
        assert told(await web.get("/inbox", params=query)) == (422, reason)
        assert s3.requests == []


class TestDelete:
    async def test_it_removes_one_object(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.put("inbox/a")
        s3.put("inbox/a/b")
        answer = await web.delete("/inbox/a")
        assert (answer.status_code, answer.content, list(s3.objects)) == (204, b"", ["inbox/a/b"])

    async def test_of_nothing(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.put("inbox/a/b")
        assert told(await web.delete("/inbox/a")) == (404, "ObjectNotFound")
        assert list(s3.objects) == ["inbox/a/b"]

    @pytest.mark.parametrize(
        ("phase", "query", "status"),
        [
            ("queued", "", 409),
            ("processing", "", 409),
            ("queued", "?force=true", 204),
            ("done", "", 204),
            ("failed", "", 204),
        ],
    )
    async def test_an_unfinished_job_keeps_its_image(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, phase: str, query: str, status: int
    ) -> None:
        s3.put("inbox/a")
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("it", "inbox/a", phase)]))
        answer = await web.delete(f"/inbox/a{query}")
        assert (answer.status_code, "inbox/a" in s3.objects) == (status, status == 409)

        if status == 409:
            assert told(answer) == (409, "ObjectInUse")
            assert answer.json()["imagejobs"] == ["it"]
            assert "?force=true" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "end",
        [
            WatchEvent("MODIFIED", [imagejob("it", "inbox/a", "done")]),
            WatchEvent("DELETED", [imagejob("it", "inbox/a")]),
            WatchEvent("SYNCED", names=frozenset()),
        ],
    )
    async def test_until_it_is_finished_or_gone(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, end: WatchEvent
    ) -> None:
        s3.put("inbox/a")
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("it", "inbox/a")]))
        jobs.cache.observe(end)
        assert (await web.delete("/inbox/a")).status_code == 204

    async def test_a_refusal_names_ten_of_many(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs
    ) -> None:
        s3.put("inbox/a")
        bodies = [imagejob(f"job-{number:02}", "inbox/a") for number in range(30)]
        jobs.cache.observe(WatchEvent("ADDED", bodies))
        answer = (await web.delete("/inbox/a")).json()
        assert answer["imagejobs"] == [f"job-{number:02}" for number in range(10)]
        assert "and others" in answer["detail"]


Ask = Callable[[httpx.AsyncClient], Any]
REQUESTS: dict[str, Ask] = {
    "POST": lambda web: put(web, "a.png", PNG),
    "list": lambda web: web.get("/inbox"),
    "GET": lambda web: web.get("/inbox/a.png"),
    "DELETE": lambda web: web.delete("/inbox/a.png"),
}


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (507, "XMinioStorageFull", "StorageFull"),
        (403, "AccessDenied", "StorageDenied"),
        (404, "NoSuchBucket", "BucketNotFound"),
        (503, "SlowDown", "StorageUnavailable"),
    ],
)
async def test_the_buckets_troubles_are_told(
    web: httpx.AsyncClient, s3: S3, jobs: Jobs, request_: str, status: int, code: str, reason: str
) -> None:
    s3.fails = status, code
    answer = await REQUESTS[request_](web)
    assert told(answer) == (503, reason)
    assert int(answer.headers["retry-after"]) > 0
    assert jobs.storage.state.state == reason


async def test_a_bucket_that_falls_silent(
    web: httpx.AsyncClient, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    s3.before_put = hang
    monkeypatch.setattr(module, "RESPONSE_SECONDS", 0.2)
    assert told(await put(web, "a.png", PNG)) == (503, "StorageUnavailable")


@pytest.mark.parametrize("there", [True, False])
async def test_a_deletion_says_nothing_of_room_for_writes(
    web: httpx.AsyncClient, s3: S3, jobs: Jobs, *, there: bool
) -> None:
    s3.fails = 507, "XMinioStorageFull"
    await put(web, "a.png", PNG)
    s3.fails = None
    if there:
        s3.put("inbox/a.png")

    assert (await web.delete("/inbox/a.png")).status_code == (204 if there else 404)
    assert jobs.storage.state.state == "StorageFull"
    assert (await put(web, "b.png", PNG)).status_code == 201
    assert jobs.storage.state.is_ok
