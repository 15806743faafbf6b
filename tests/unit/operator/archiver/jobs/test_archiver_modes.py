"""Tests of the archiver's settings, its metrics, its sweep, and its work without a database."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from archive_place import IMAGES, RESULTS, Place
from archiver_helpers import until
from fakes.job_api import IDENTITY, NAMESPACE
from metrics_lint import lint
from vision_node_contract.history.database import DatabaseSettings
from vision_node_operator.archiver.counts import JobCounts
from vision_node_operator.archiver.history.link import Surroundings
from vision_node_operator.archiver.image_jobs import ImageJobWork, image_jobs
from vision_node_operator.archiver.jobs.sweep import JobSweep
from vision_node_operator.archiver.metrics import archiver_metrics
from vision_node_operator.archiver.settings import HistorySettings, Settings
from vision_node_operator.archiver.sweep_guard import FormerHistory, HeldError
from vision_node_operator.runtime.garbage_collector import GRACE
from vision_node_operator.runtime.storage_ownership import StorageOwnership

NAMES = ("DATABASE_URL", "DATABASE_API_ROLE", "JOB_SECONDS", "IMAGEJOB_SECONDS", "IMAGE_SECONDS")
URL = "postgresql://db/x"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"DATABASE_URL": ""}, None),
        ({"DATABASE_URL": URL}, HistorySettings(DatabaseSettings(URL))),
        (
            {"DATABASE_URL": URL, "JOB_SECONDS": "0", "IMAGE_SECONDS": "0"},
            HistorySettings(DatabaseSettings(URL), data=None, images=timedelta(0)),
        ),
        (
            {"DATABASE_URL": URL, "IMAGE_SECONDS": "", "IMAGEJOB_SECONDS": "60"},
            HistorySettings(DatabaseSettings(URL), imagejobs=timedelta(minutes=1)),
        ),
        (
            {"DATABASE_URL": URL, "MAX_FINISHED_IMAGEJOBS": "7", "DATABASE_API_ROLE": "r"},
            HistorySettings(DatabaseSettings(URL), api_role="r", max_finished=7),
        ),
    ],
)
def test_settings_of_the_history(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: HistorySettings | None
) -> None:
    for name in (*NAMES, "MAX_FINISHED_IMAGEJOBS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert HistorySettings.from_env() == expected


def settings_of(place: Place, *, has_history: bool, archives: bool = True) -> Settings:
    history = place.history if has_history else None
    return replace(Settings(NAMESPACE, IDENTITY), archives_imagejobs=archives, history=history)


def around(place: Place, settings: Settings) -> Surroundings:
    ownership = StorageOwnership(place.bucket, place.kube, settings)
    return Surroundings(place.kube, place.bucket, ownership, settings)


async def test_archiver_of_an_older_chart_leaves_imagejobs_alone(place: Place) -> None:
    settings = settings_of(place, has_history=True, archives=False)
    async with image_jobs(around(place, settings), settings) as image:
        assert (image.jobs, image.work) == (None, [])


class FakeGarbage:
    async def sweep(self, now: datetime) -> int:
        return 1


@pytest.mark.parametrize("is_watched", [True, False])
async def test_without_a_database_objects_go_with_their_imagejobs(
    place: Place, *, is_watched: bool
) -> None:
    settings = settings_of(place, has_history=False)
    for name in ("gone", "kept"):
        place.create_done(name)
    uid = place.api.bodies["gone"]["metadata"]["uid"]
    place.s3.put(f"{RESULTS}{uid}/1")
    place.api.finish("gone", key=f"{RESULTS}{uid}/1")
    async with image_jobs(around(place, settings), settings) as image:
        assert image.jobs is None
        tasks = [asyncio.create_task(it) for it in image.work]
        await until(lambda: "owners/aaaabbbbcccc" in place.s3.objects and place.api.is_watched)
        place.api.delete("gone", is_told=is_watched)
        if not is_watched:
            place.api.break_watches()
        await until(lambda: f"{IMAGES}gone" not in place.s3.objects)
        await until(lambda: f"{RESULTS}{uid}/1" not in place.s3.objects)
        assert f"{IMAGES}kept" in place.s3.objects
        assert not lint(archiver_metrics(place.kube, place.bucket, image, None).text().decode())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert list(place.api.bodies) == ["kept"]


async def test_sweep_deletes_what_neither_etcd_nor_a_row_names(place: Place) -> None:
    place.create_done("live")
    place.create_done("evicted", 3601)
    uid = place.api.bodies["evicted"]["metadata"]["uid"]
    orphans = [f"{IMAGES}orphan", f"{RESULTS}{uid}/7", f"{RESULTS}odd/1"]
    for key in orphans:
        place.s3.put(key)
    async with place.archiver() as jobs:
        await until(lambda: place.evicted == ["evicted"])
        await until(lambda: jobs.link.is_up)
        assert await jobs.sweep.sweep(datetime.now(UTC) + 2 * GRACE) == len(orphans)

    kept = {it for it in place.s3.objects if it.startswith((IMAGES, RESULTS))}
    assert kept == {f"{IMAGES}live", f"{IMAGES}evicted"}


async def test_nothing_is_swept_after_the_database_was_turned_off(place: Place) -> None:
    place.s3.put(f"{IMAGES}evicted")
    place.s3.put("owners/aaaabbbbcccc.history")
    garbage: Any = FakeGarbage()
    sweep = JobSweep(garbage, JobCounts(), None, FormerHistory(place.bucket))

    with pytest.raises(HeldError, match=r"owners/aaaabbbbcccc\.history"):
        await sweep.sweep(datetime.now(UTC) + 2 * GRACE)

    place.s3.objects.pop("owners/aaaabbbbcccc.history")
    assert await sweep.sweep(datetime.now(UTC) + 2 * GRACE) == 1


async def test_metrics_of_the_history(place: Place) -> None:
    place.create_done("j", 3601)
    place.create_done("odd")
    place.api.change("odd", priority="high")
    async with place.archiver() as jobs:
        counts = jobs.archiver.counts
        await until(lambda: counts.evicted == 1)
        image = ImageJobWork(counts, jobs=jobs)
        text = archiver_metrics(place.kube, place.bucket, image, None).text().decode()

    assert lint(text) == []
    for line in (
        "vision_node_archived_total 1.0",
        "vision_node_evicted_total 1.0",
        "vision_node_deleted_total 0.0",
        "vision_node_unreadable_imagejobs_total 1.0",
        "vision_node_database_up 1.0",
        "vision_node_archive_waiting 0.0",
        "vision_node_archive_lag_seconds 0.0",
        'vision_node_hold{reason="HistoryRestored"} 0.0',
    ):
        assert line in text
