"""Tests of what the operator deletes if finished ImageJobs are archived in a database."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from vision_node_operator.decisions.expiry import MAX_EXPIRING, is_nearly_full
from vision_node_operator.settings import Settings
from world import NOW, SETTINGS, World, at

LIMIT = 100
YEARS = 10 * 365 * 86_400.0


def world_of(finished: int, unfinished: int = 0, **settings: Any) -> World:
    """Return a world with ImageJobs, of which the finished ones ended an hour ago."""
    world = World(replace(SETTINGS, max_imagejobs=LIMIT, **settings))
    for n in range(finished):
        world.job(f"j{n:03}", created=-7200, phase="done", completionTime=at(n - 3600))
    for n in range(unfinished):
        world.job(f"q{n:03}", created=-7200)

    return world


def expired(world: World, after: float = 0) -> list[str]:
    """Return the actions that delete ImageJobs or ImageBatches."""
    return [action for action in world.decide(after) if action.startswith("expire ")]


@pytest.mark.parametrize(
    ("finished", "has_history", "deleted"),
    [
        (95, False, 0),
        (96, False, 1),
        (200, False, MAX_EXPIRING),
        (95, True, 0),
        (96, True, 0),
        (100, True, 0),
        (200, True, 0),
    ],
)
def test_no_job_is_deleted_for_the_limit_if_there_is_a_history(
    finished: int, deleted: int, *, has_history: bool
) -> None:
    assert len(expired(world_of(finished, has_history=has_history))) == deleted


@pytest.mark.parametrize(
    ("default", "own", "ends"),
    [
        (60, None, 60),
        (60, 600, 600),
        (2_592_000, None, 2_592_000),
        (2_592_000, 0, 0),
        (None, None, None),
        (None, 0, 0),
        (None, 600, 600),
        # A week is what older releases stored in every ImageJob.
        (None, 604_800, 604_800),
    ],
)
def test_time_to_live_is_honored_with_a_history(
    default: int | None, own: int | None, ends: int | None
) -> None:
    kept = None if default is None else timedelta(seconds=default)
    world = World(replace(SETTINGS, has_history=True, job_kept=kept))
    spec = {} if own is None else {"ttlSecondsAfterFinished": own}
    world.job("j", phase="done", completionTime=at(0), spec=spec)

    if ends is None:
        assert expired(world, YEARS) == []
        return

    assert expired(world, ends - 1) == []
    assert expired(world, ends) == ["expire j"]


@pytest.mark.parametrize(
    ("default", "own", "ends"),
    [(60, None, 60), (60, 600, 600), (None, None, None), (None, 0, 0), (None, 600, 600)],
)
def test_time_to_live_of_batches_is_honored_with_a_history(
    default: int | None, own: int | None, ends: int | None
) -> None:
    kept = None if default is None else timedelta(seconds=default)
    world = World(replace(SETTINGS, has_history=True, job_kept=kept))
    world.observe(
        "imagebatches",
        "b",
        metadata={"uid": "b-uid", "creationTimestamp": at(-100)},
        spec={"prefix": "inbox/a/"} | ({} if own is None else {"ttlSecondsAfterFinished": own}),
        status={"phase": "done", "completionTime": at(0)},
    )

    ended = YEARS if ends is None else float(ends)
    due = [it.name for it in world.state.batches.expired(NOW + timedelta(seconds=ended))]
    early = world.state.batches.expired(NOW + timedelta(seconds=ended - 1))
    assert due == ([] if ends is None else ["b"])
    assert list(early) == []


@pytest.mark.parametrize(
    ("finished", "unfinished", "has_history", "nearly_full"),
    [
        (95, 0, True, False),
        (96, 0, True, True),
        (0, 96, True, True),
        (48, 48, True, True),
        (200, 0, True, True),
        # Without a history, finished jobs are deleted instead.
        (200, 0, False, False),
    ],
)
def test_too_many_jobs_that_wait_for_the_archiver_are_noticed(
    finished: int, unfinished: int, *, has_history: bool, nearly_full: bool
) -> None:
    world = world_of(finished, unfinished, has_history=has_history)
    assert is_nearly_full(world.state, world.settings) is nearly_full


@pytest.mark.parametrize(
    ("given", "archives", "history", "kept"),
    [
        # Older charts set none of the three.
        ({}, False, False, timedelta(days=1)),
        ({"ARCHIVES_IMAGEJOBS": "true"}, True, False, timedelta(days=1)),
        ({"ARCHIVES_IMAGEJOBS": "true", "HISTORY": "true"}, True, True, timedelta(days=1)),
        ({"HISTORY": "true", "JOB_SECONDS": "0"}, False, True, None),
        ({"HISTORY": "", "JOB_SECONDS": "60"}, False, False, timedelta(minutes=1)),
        ({"ARCHIVES_IMAGEJOBS": "false", "HISTORY": "false"}, False, False, timedelta(days=1)),
    ],
)
def test_settings_say_who_deletes(
    given: dict[str, str],
    kept: timedelta | None,
    monkeypatch: pytest.MonkeyPatch,
    *,
    archives: bool,
    history: bool,
) -> None:
    required = {"POD_NAMESPACE": "ns", "DESCRIBERS_CONFIGMAP": "d", "JOB_PREFIX": "vn"}
    for name in ("ARCHIVES_IMAGEJOBS", "HISTORY", "JOB_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for name, text in {**required, "NO_WORKER_SECONDS": "3600", **given}.items():
        monkeypatch.setenv(name, text)

    settings = Settings.from_env()
    assert (settings.archiver_deletes, settings.has_history) == (archives, history)
    assert settings.job_kept == kept
