"""Tests of GET and DELETE for a single object under /inbox."""

from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from fakes.s3 import S3
from fastapi import FastAPI
from inbox_requests import PNG, imagebatch, imagejob, outcome, put
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.inbox import Inbox
from vision_node_api.services.jobs import Jobs
from vision_node_api.services.storage_health import DependencyState
from vision_node_contract.clients.kube import WatchEvent


class TestGet:
    async def test_get_and_head_find_a_stored_object(self, web: httpx.AsyncClient, s3: S3) -> None:
        stored = (await put(web, "a.png", PNG)).json()
        found = (await web.get("/inbox/a.png")).json()
        times = ("modified_at", "expires_at")
        assert {k: v for k, v in found.items() if k not in times} == {
            k: v for k, v in stored.items() if k not in times
        }
        assert (await web.head("/inbox/a.png")).status_code == 200

    async def test_object_that_was_not_stored_by_the_api_has_no_checksum(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/a", b"")
        response = (await web.get("/inbox/a")).json()
        assert (response["size_bytes"], response["sha256"]) == (0, None)

    async def test_missing_object_is_not_found(self, web: httpx.AsyncClient) -> None:
        assert outcome(await web.get("/inbox/a")) == (404, "ObjectNotFound")

    async def test_object_has_no_expiration_time_without_a_retention_period(
        self, web: httpx.AsyncClient, jobs: Jobs
    ) -> None:
        object.__setattr__(jobs, "settings", replace(jobs.settings, inbox_kept=None))
        assert (await put(web, "a.png", PNG)).json()["expires_at"] is None


class TestDelete:
    async def test_only_the_named_object_is_deleted(self, web: httpx.AsyncClient, s3: S3) -> None:
        s3.put("inbox/aaaabbbbcccc/a")
        s3.put("inbox/aaaabbbbcccc/a/b")
        response = await web.delete("/inbox/a")
        assert (response.status_code, response.content, list(s3.objects)) == (
            204,
            b"",
            ["inbox/aaaabbbbcccc/a/b"],
        )

    async def test_deleting_a_missing_object_is_refused(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/a/b")
        assert outcome(await web.delete("/inbox/a")) == (404, "ObjectNotFound")
        assert list(s3.objects) == ["inbox/aaaabbbbcccc/a/b"]

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
    async def test_image_of_an_unfinished_job_is_kept(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, phase: str, query: str, status: int
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/a")
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("it", "inbox/aaaabbbbcccc/a", phase)]))
        response = await web.delete(f"/inbox/a{query}")
        assert (response.status_code, "inbox/aaaabbbbcccc/a" in s3.objects) == (
            status,
            status == 409,
        )

        if status == 409:
            assert outcome(response) == (409, "ObjectInUse")
            assert response.json()["imagejobs"] == ["it"]
            assert "?force=true" in response.json()["detail"]

    @pytest.mark.parametrize(
        "end",
        [
            WatchEvent("MODIFIED", [imagejob("it", "inbox/aaaabbbbcccc/a", "done")]),
            WatchEvent("DELETED", [imagejob("it", "inbox/aaaabbbbcccc/a")]),
            WatchEvent("SYNCED", names=frozenset()),
        ],
    )
    async def test_image_can_be_deleted_once_its_job_is_finished_or_deleted(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, end: WatchEvent
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/a")
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("it", "inbox/aaaabbbbcccc/a")]))
        jobs.cache.observe(end)
        assert (await web.delete("/inbox/a")).status_code == 204

    async def test_problem_lists_at_most_ten_jobs(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/a")
        bodies = [imagejob(f"job-{number:02}", "inbox/aaaabbbbcccc/a") for number in range(30)]
        jobs.cache.observe(WatchEvent("ADDED", bodies))
        response = (await web.delete("/inbox/a")).json()
        assert response["imagejobs"] == [f"job-{number:02}" for number in range(10)]
        assert "and others" in response["detail"]


class TestImagesOfBatches:
    """ImageBatches name a folder, or an object that lists images."""

    @pytest.mark.parametrize("prefix", ["inbox/holiday/", "inbox/aaaabbbbcccc/holiday/"])
    async def test_image_of_an_unfinished_batch_can_not_be_deleted_or_replaced(
        self, web: httpx.AsyncClient, s3: S3, batches: Batches, prefix: str
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/holiday/a.png")
        batches.cache.observe(WatchEvent("ADDED", [imagebatch("it", prefix)]))
        for refused in (
            await web.delete("/inbox/holiday/a.png"),
            await put(web, "holiday/a.png", PNG, "?replace=true"),
        ):
            assert outcome(refused) == (409, "ObjectInUse")
            assert refused.json()["imagebatches"] == ["it"]
            assert "unfinished ImageBatches: it." in refused.json()["detail"]

        assert (await web.delete("/inbox/holiday/a.png?force=true")).status_code == 204

    async def test_image_can_be_deleted_once_its_batch_is_finished(
        self, web: httpx.AsyncClient, s3: S3, batches: Batches
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/holiday/a.png")
        batches.cache.observe(WatchEvent("ADDED", [imagebatch("it", "inbox/holiday/")]))
        batches.cache.observe(WatchEvent("MODIFIED", [imagebatch("it", "inbox/holiday/", "done")]))
        assert (await web.delete("/inbox/holiday/a.png")).status_code == 204

    async def test_problem_names_jobs_and_batches(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, batches: Batches
    ) -> None:
        s3.put("inbox/aaaabbbbcccc/a")
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("job", "inbox/a")]))
        batches.cache.observe(WatchEvent("ADDED", [imagebatch("it", "inbox/")]))
        detail = (await web.delete("/inbox/a")).json()["detail"]
        assert "unfinished ImageJobs: job and unfinished ImageBatches: it." in detail

    async def test_new_image_can_be_added_to_the_folder(
        self, web: httpx.AsyncClient, batches: Batches
    ) -> None:
        batches.cache.observe(WatchEvent("ADDED", [imagebatch("it", "inbox/holiday/")]))
        assert (await put(web, "holiday/new.png", PNG)).status_code == 201


class TestObjectsOfOlderReleases:
    """Older releases stored inbox/<name>, without the release's id."""

    async def test_object_is_found_and_deleted_by_name(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/old/a")
        found = (await web.get("/inbox/old/a")).json()
        assert (found["name"], found["key"]) == ("old/a", "inbox/old/a")
        assert found["expires_at"] is None
        assert (await web.delete("/inbox/old/a")).status_code == 204
        assert not s3.objects

    async def test_own_object_of_the_same_name_comes_first(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/a.png")
        assert (await put(web, "a.png", PNG)).status_code == 201
        assert (await web.get("/inbox/a.png")).json()["key"] == "inbox/aaaabbbbcccc/a.png"
        assert (await web.delete("/inbox/a.png")).status_code == 204
        assert list(s3.objects) == ["inbox/a.png"]

    async def test_objects_outside_the_folder_are_not_listed(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        for key in ("inbox/a", "inbox/ddddeeeeffff/b", "inbox/aaaabbbbcccc/c"):
            s3.put(key)
        listed = (await web.get("/inbox")).json()["objects"]
        assert [it["name"] for it in listed] == ["c"]
        assert s3.listed_prefixes[-1] == "inbox/aaaabbbbcccc/"

    @pytest.mark.parametrize("key", ["inbox/a", "inbox/aaaabbbbcccc/a"])
    @pytest.mark.parametrize("stored", ["inbox/a", "inbox/aaaabbbbcccc/a"])
    async def test_object_is_in_use_with_and_without_the_id(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs, key: str, stored: str
    ) -> None:
        s3.put(stored)
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("j", key)]))
        assert outcome(await web.delete("/inbox/a")) == (409, "ObjectInUse")

    async def test_name_of_an_image_in_use_cannot_be_taken(
        self, web: httpx.AsyncClient, s3: S3, jobs: Jobs
    ) -> None:
        """A queued job must not find a different image under its name."""
        s3.put("inbox/a.png")
        jobs.cache.observe(WatchEvent("ADDED", [imagejob("j", "inbox/a.png")]))
        refused = await put(web, "a.png", PNG)
        assert outcome(refused) == (409, "ObjectExists")
        assert refused.json()["detail"].startswith("inbox/a.png already exists")
        assert outcome(await put(web, "a.png", PNG, "?replace=true")) == (409, "ObjectInUse")
        assert list(s3.objects) == ["inbox/a.png"]

    async def test_missing_object_is_not_found_if_the_policy_allows_only_own_folders(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.forbidden_outside = "aaaabbbbcccc"
        assert outcome(await web.get("/inbox/a")) == (404, "ObjectNotFound")
        assert (await put(web, "a", PNG)).status_code == 201

    async def test_images_of_another_release_are_out_of_reach(
        self, web: httpx.AsyncClient, s3: S3
    ) -> None:
        s3.put("inbox/ddddeeeeffff/a")
        assert outcome(await web.get("/inbox/ddddeeeeffff/a")) == (404, "ObjectNotFound")
        assert outcome(await web.delete("/inbox/ddddeeeeffff/a")) == (404, "ObjectNotFound")
        assert list(s3.objects) == ["inbox/ddddeeeeffff/a"]

    async def test_refused_lookup_is_not_repeated(self, web: httpx.AsyncClient, s3: S3) -> None:
        """Each refusal would be a warning in the log, and any client could cause it."""
        s3.forbidden_outside = "aaaabbbbcccc"
        for name in ("a", "b", "c"):
            assert outcome(await web.get(f"/inbox/{name}")) == (404, "ObjectNotFound")
        older = [it for it in s3.requests if "/inbox/" in it and "aaaabbbbcccc" not in it]
        assert {it.split()[1] for it in older} == {"/bucket/inbox/a"}


async def test_inbox_of_another_release_can_not_be_changed(
    app: FastAPI, web: httpx.AsyncClient, s3: S3
) -> None:
    s3.put("inbox/aaaabbbbcccc/a")
    state = DependencyState("StorageNotOurs", "not ours")
    app.state.inbox = Inbox(
        app.state.jobs, app.state.batches.cache, ownership=SimpleNamespace(state=state)
    )  # type: ignore[arg-type]
    assert outcome(await put(web, "a", PNG, "?replace=true")) == (503, "StorageNotOurs")
    assert outcome(await web.delete("/inbox/a")) == (503, "StorageNotOurs")
    assert (await web.get("/inbox/a")).status_code == 200
    assert s3.objects["inbox/aaaabbbbcccc/a"].data == b"x"
