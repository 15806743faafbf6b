"""Tests of GET /usage and of daily limits with the history in a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from acting_as import as_
from api_archive import Archive, job_body, report
from api_client import submit
from api_fakes import picture
from limited_api import NOON, Start
from postgres import Postgres
from vision_node_api.owner_limits import OwnerLimits
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.history.database import Database

PNG = picture()
TODAY = "2026-01-01"
BYTES = 1000


def ended(number: int, owner: str = "ann", days: int = 0, **more: Any) -> dict[str, Any]:
    """Return a job of 1,000 bytes that has ended some days before noon."""
    body = job_body(
        number,
        owner=owner,
        created=NOON - timedelta(days=days),
        spec={"image": {"key": f"images/{number}", "sizeBytes": BYTES}},
        **more,
    )
    if body["status"]["phase"] == "done":
        body["status"]["result"]["usage"] = {"inputTokens": 30, "outputTokens": 12}
    return body


def row(day: str, images: int, describer: str = "local", failed: int = 0) -> dict[str, Any]:
    done = images - failed
    return {
        "day": day,
        "describer": describer,
        "images": images,
        "failed": failed,
        "bytes": images * BYTES,
        "input_tokens": done * 30,
        "output_tokens": done * 12,
    }


async def test_usage_is_reported_by_day_and_describer(
    limited_api: Start, reader: HistoryReader, archive: Archive
) -> None:
    await archive.add(ended(1), ended(2), ended(3, phase="failed"), ended(4, "bob"))
    await archive.add(ended(5, days=1), ended(6, days=40))
    async with limited_api(OwnerLimits(bytes_per_day=9000), history=reader) as api:
        report(api.jobs, ended(1), job_body(9, phase="queued", owner="ann"))
        answer = await api.client.get("/usage", headers=as_("ann"))
        assert answer.json() == {
            "owner": "ann",
            "days": [row(TODAY, 3, failed=1), row("2025-12-31", 1)],
            "next": None,
            "today": {
                "limits": {
                    "requests_per_second": 50,
                    "unfinished_jobs": 5000,
                    "bytes_per_day": 9000,
                    "provider_tokens_per_day": None,
                },
                "used": {"unfinished_jobs": 1, "bytes": 3 * BYTES, "provider_tokens": 84},
            },
            "history": True,
        }

        query = {"after": "2025-11-01", "before": TODAY}
        answer = await api.client.get("/usage", params=query, headers=as_("ann"))
        assert [it["day"] for it in answer.json()["days"]] == ["2025-12-31", "2025-11-22"]


async def test_only_administrators_read_the_usage_of_others(
    limited_api: Start, reader: HistoryReader, archive: Archive
) -> None:
    await archive.add(ended(1), ended(2, "bob"))
    async with limited_api(history=reader) as api:
        refused = await api.client.get("/usage", params={"owner": "bob"}, headers=as_("ann"))
        assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")

        for owner, asked in (("ann", {"owner": "ann"}), ("admin:eve", {"owner": "bob"})):
            answer = await api.client.get("/usage", params=asked, headers=as_(owner))
            assert (answer.json()["owner"], answer.json()["days"]) == (
                asked["owner"],
                [row(TODAY, 1)],
            )
        own = await api.client.get("/usage", headers=as_("admin:eve"))
        assert (own.json()["owner"], own.json()["days"]) == ("eve", [])


async def test_without_authentication_everything_is_reported(
    limited_api: Start, reader: HistoryReader, archive: Archive
) -> None:
    await archive.add(ended(1), ended(2, "bob"), ended(3, "bob", days=1))
    async with limited_api(history=reader) as api:
        report(api.jobs, job_body(9, phase="queued", owner="ann"), job_body(10, phase="queued"))
        answer = (await api.client.get("/usage")).json()
        assert answer["owner"] == ""
        assert answer["days"] == [row(TODAY, 2), row("2025-12-31", 1)]
        assert set(answer["today"]["limits"].values()) == {None}
        assert answer["today"]["used"] == {
            "unfinished_jobs": 2,
            "bytes": 2 * BYTES,
            "provider_tokens": 84,
        }


async def test_long_reports_have_pages_of_whole_days(
    limited_api: Start, reader: HistoryReader, history_database: Database
) -> None:
    async def fill(connection: Any) -> None:
        await connection.execute(
            "INSERT INTO usage SELECT '2025-12-01'::date + n / 3, 'ann', 'd' || n % 3, 1, 0, 1,"
            " 0, 0 FROM generate_series(0, 29) AS n"
        )

    await history_database.run(fill)
    async with limited_api(history=reader) as api:
        for size in (2, 4, 7, 30, 31):
            object.__setattr__(api.app.state.usage, "max_rows", size)
            found: list[dict[str, Any]] = []
            query = {"after": "2025-12-01"}
            while True:
                answer = await api.client.get("/usage", params=query, headers=as_("ann"))
                found += answer.json()["days"]
                if answer.json()["next"] is None:
                    break
                query["before"] = answer.json()["next"]
            assert len(found) == (30 if size > 2 else 20), size
            assert [it["day"] for it in found] == sorted((it["day"] for it in found), reverse=True)


async def test_live_usage_is_reported_without_a_database(limited_api: Start) -> None:
    async with limited_api() as api:
        report(api.jobs, ended(1), ended(2, days=1), ended(3, phase="failed"), ended(4, "bob"))
        answer = (await api.client.get("/usage", headers=as_("ann"))).json()
        assert answer["days"] == [row(TODAY, 2, failed=1)]
        assert answer["history"] is False
        assert answer["today"]["used"]["bytes"] == 2 * BYTES

        everything = (await api.client.get("/usage")).json()
        assert everything["days"] == [row(TODAY, 3, failed=1)]
        before = await api.client.get("/usage", params={"before": TODAY}, headers=as_("ann"))
        assert before.json()["days"] == []


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"bytes_per_day": 2 * BYTES}, "DailyBytesUsed"),
        ({"provider_tokens_per_day": 84}, "DailyTokensUsed"),
    ],
)
async def test_evicted_jobs_count_for_daily_limits(
    limited_api: Start,
    reader: HistoryReader,
    archive: Archive,
    limit: dict[str, int],
    reason: str,
) -> None:
    await archive.add(ended(1), ended(2), ended(3, "bob"), ended(4, days=1))
    async with limited_api(OwnerLimits(**limit), history=reader) as api:
        known = {"metadata": {"name": "metadata"}, "spec": {"provider": "openai"}}
        api.jobs.describers.observe(WatchEvent("MODIFIED", [known]))
        refused = await submit(api.client, PNG, headers=as_("ann"))
        assert (refused.status_code, refused.json()["reason"]) == (429, reason)
        assert (await submit(api.client, PNG, headers=as_("bob"))).status_code == 202

        api.clock.advance(12 * 3600)
        assert (await submit(api.client, PNG, headers=as_("ann"))).status_code == 202


async def test_jobs_in_etcd_and_in_the_history_count_once(
    limited_api: Start, reader: HistoryReader, archive: Archive
) -> None:
    await archive.add(ended(1), ended(2))
    async with limited_api(OwnerLimits(bytes_per_day=9 * BYTES), history=reader) as api:
        report(api.jobs, ended(1), ended(2))
        used = (await api.client.get("/usage", headers=as_("ann"))).json()["today"]["used"]
        assert used["bytes"] == 2 * BYTES

        report(api.jobs, ended(3))
        used = (await api.client.get("/usage", headers=as_("ann"))).json()["today"]["used"]
        assert used["bytes"] == 3 * BYTES


async def test_nobody_is_locked_out_while_the_database_is_away(
    limited_api: Start, reader: HistoryReader, archive: Archive, postgres: Postgres
) -> None:
    await archive.add(ended(1), ended(2))
    async with limited_api(OwnerLimits(bytes_per_day=2 * BYTES), history=reader) as api:
        assert (await submit(api.client, PNG, headers=as_("ann"))).status_code == 429
        postgres.stop()
        try:
            api.clock.advance(60)
            assert (await submit(api.client, PNG, headers=as_("ann"))).status_code == 202
            away = await api.client.get("/usage", headers=as_("ann"))
            assert (away.status_code, away.json()["reason"]) == (503, "HistoryUnavailable")

            report(api.jobs, ended(3), ended(4))
            api.clock.advance(60)
            assert (await submit(api.client, PNG, headers=as_("ann"))).status_code == 429
        finally:
            postgres.start()


async def test_day_is_that_of_utc(limited_api: Start) -> None:
    async with limited_api() as api:
        api.clock.now = datetime(2026, 1, 1, 23, 59, 59, 500_000, tzinfo=UTC)
        late = ended(1)
        late["status"]["completionTime"] = "2026-01-02T01:00:00+02:00"
        report(api.jobs, late)
        days = (await api.client.get("/usage", headers=as_("ann"))).json()["days"]
        assert [it["day"] for it in days] == [TODAY]
