"""Tests of GET /inbox: entries, pages, prefixes and cursors."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fakes.s3 import S3
from inbox_requests import PNG, outcome
from vision_node_api.services.inbox_cursor import write_cursor
from vision_node_api.services.inbox_name import MAX_PART_BYTES


class TestList:
    async def all(self, web: httpx.AsyncClient, **query: Any) -> tuple[list[str], int]:
        """Return the names on all pages, and the number of pages."""
        names, pages, cursor = [], 0, None
        while True:
            params = {**query, **({"cursor": cursor} if cursor else {})}
            response = await web.get("/inbox", params=params)
            assert response.status_code == 200, response.text
            body = response.json()
            names += [found["name"] for found in body["objects"]]
            pages, cursor = pages + 1, body["next_cursor"]
            if cursor is None:
                return names, pages

    async def test_entry_has_name_key_size_and_times(self, web: httpx.AsyncClient, s3: S3) -> None:
        modified = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        s3.put("inbox/aaaabbbbcccc/a/b.png", PNG, modified)
        response = await web.get("/inbox")

        assert response.json() == {
            "objects": [
                {
                    "name": "a/b.png",
                    "key": "inbox/aaaabbbbcccc/a/b.png",
                    "size_bytes": len(PNG),
                    "modified_at": "2026-01-02T03:04:05Z",
                    "expires_at": "2026-01-09T03:04:05Z",
                }
            ],
            "next_cursor": None,
        }

    async def test_empty_inbox_has_one_empty_page(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.put("images/a")
        assert await self.all(web) == ([], 1)

    @pytest.mark.parametrize(
        ("count", "limit", "pages"), [(5, 2, 3), (4, 2, 2), (3, 1000, 1), (101, None, 2)]
    )
    async def test_list_is_split_into_pages(
        self, web: httpx.AsyncClient, s3: S3, count: int, limit: int | None, pages: int
    ) -> None:
        names = [f"{number:03}.png" for number in range(count)]
        for name in names:
            s3.put(f"inbox/aaaabbbbcccc/{name}")
        assert await self.all(web, **({"limit": limit} if limit else {})) == (names, pages)

    async def test_all_objects_are_listed_if_the_bucket_returns_short_pages(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.page = 1
        for name in "abc":
            s3.put(f"inbox/aaaabbbbcccc/{name}")
        assert await self.all(web, limit=100) == (["a", "b", "c"], 3)

    @pytest.mark.parametrize("prefix", ["holiday/", "holiday/a", "h"])
    async def test_prefix_selects_names(self, web: httpx.AsyncClient, s3: S3, prefix: str) -> None:
        for key in (
            "inbox/aaaabbbbcccc/a",
            "inbox/aaaabbbbcccc/holiday/a1",
            "inbox/aaaabbbbcccc/holiday/a2",
            "inbox/aaaabbbbcccc/i",
            "images/holiday/a",
        ):
            s3.put(key)

        names, pages = await self.all(web, prefix=prefix, limit=1)

        assert (names, pages) == (["holiday/a1", "holiday/a2"], 2)

    @pytest.mark.parametrize(
        "prefix", ["", "a", "a.", "a/", "a/b-", "a" * MAX_PART_BYTES, "xl.met", "a/xl.meta"]
    )
    async def test_any_beginning_of_a_valid_name_is_a_valid_prefix(
        self, web: httpx.AsyncClient, prefix: str
    ) -> None:
        assert (await web.get("/inbox", params={"prefix": prefix})).status_code == 200

    async def test_trailing_slash_is_ignored(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.put("inbox/aaaabbbbcccc/a")
        assert (await web.get("/inbox/")).json() == (await web.get("/inbox")).json()

    @pytest.mark.parametrize("code", ["XMinioInvalidObjectName", "XMinioInvalidResourceName"])
    async def test_refused_cursor_does_not_count_as_a_storage_outage(
        self, web: httpx.AsyncClient, s3: S3, code: str
    ) -> None:
        s3.fails = 400, code
        response = await web.get(
            "/inbox", params={"cursor": write_cursor("inbox/aaaabbbbcccc/a/../b")}
        )
        assert outcome(response) == (422, "InvalidCursor")
        assert "storage" not in (await web.get("/readyz")).json()["details"]

    async def test_objects_may_change_between_pages(self, web: httpx.AsyncClient, s3: S3) -> None:
        for name in "bcd":
            s3.put(f"inbox/aaaabbbbcccc/{name}")
        cursor = (await web.get("/inbox", params={"limit": 2})).json()["next_cursor"]
        del s3.objects["inbox/aaaabbbbcccc/c"]
        s3.put("inbox/aaaabbbbcccc/a")
        page = (await web.get("/inbox", params={"limit": 2, "cursor": cursor})).json()
        assert [found["name"] for found in page["objects"]] == ["d"]

    async def test_objects_that_no_imagejob_can_use_are_not_listed(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        for key in (
            "inbox/aaaabbbbcccc/",
            "inbox/aaaabbbbcccc/.a",
            "inbox/aaaabbbbcccc/a b",
            "inbox/aaaabbbbcccc/b",
            "inbox/aaaabbbbcccc/ä",
        ):
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
            ({"cursor": write_cursor("inbox/aaaabbbbcccc/a"), "prefix": "b"}, "InvalidCursor"),
            ({"cursor": "a" * 1401}, "InvalidRequest"),
        ],
    )
    async def test_invalid_query_is_refused(
        self, web: httpx.AsyncClient, s3: S3, query: dict[str, Any], reason: str
    ) -> None:
        assert outcome(await web.get("/inbox", params=query)) == (422, reason)
        assert s3.requests == []
