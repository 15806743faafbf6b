"""Tests of deleting the data of ImageBatches, and of keeping what nobody has deleted."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from archiver_helpers import BATCHES
from batch_history_world import HistoryWorld, eventually, uid_of
from fakes.ownership import FakeOwnership
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_operator.archiver.batch_history import batch_history, deletions
from vision_node_operator.archiver.batch_history.folder_guard import FolderGuard
from vision_node_operator.archiver.batch_history.holds import HeldError
from vision_node_operator.archiver.sweep import GRACE, Sweep


async def test_deleted_batch_loses_its_rows_and_its_folder(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "PIECE_ROWS", 3)
    world.create("b", parts=4)
    world.create("other", parts=1)
    history = world.start()
    await world.settle(history)

    world.api.delete("b")
    history.observe_deleted(uid_of("b"))
    await world.settle(history)

    assert world.images("b") == []
    assert world.is_marked("b") is None
    await eventually(lambda: not world.folder("b"))
    assert world.images("other") == [0, 1]
    assert world.folder("other")
    assert world.query("SELECT is_batch, cleaned_at IS NULL FROM tombstones") == [(True, False)]
    assert history.counts.deleted == 1


@pytest.mark.parametrize("is_seen", [True, False])
async def test_expired_upload_leaves_nothing_and_never_counts_as_evicted(
    world: HistoryWorld, *, is_seen: bool
) -> None:
    world.stay = timedelta(0)
    world.create("b", upload={"complete": False})
    world.api.bodies["b"]["spec"].pop("prefix")
    world.s3.put(f"{BATCHES}{uid_of('b')}/u/first/p000000000")
    history = world.start()
    await world.settle(history)
    assert world.is_marked("b") is False

    world.api.delete("b")
    if is_seen:
        history.observe_deleted(uid_of("b"))
    await world.settle(history if is_seen else world.start())

    assert world.is_marked("b") is None
    assert world.query("SELECT is_batch FROM tombstones") == [(True,)]
    await eventually(lambda: not world.folder("b"))
    assert history.counts.evicted == 0


async def test_history_has_the_final_spec_of_an_upload(world: HistoryWorld) -> None:
    world.create("b", upload={"complete": False})
    world.api.bodies["b"]["spec"].pop("prefix")
    history = world.start()
    await world.settle(history)
    upload = {"complete": True, "attempt": "first", "lists": 1}
    world.api.change("b", upload=upload)
    world.count("b")
    world.s3.put(f"{BATCHES}{uid_of('b')}/u/first/p000000000")
    world.finish("b")
    await world.settle(history)

    assert "b" not in world.api.bodies
    assert world.is_marked("b")
    assert world.images("b") == [0, 1]
    ((body,),) = world.query("SELECT body FROM batches")
    assert (json.loads(body) if isinstance(body, str) else body)["spec"]["upload"] == upload
    assert f"{BATCHES}{uid_of('b')}/u/first/p000000000" in world.folder("b")


async def test_batch_without_a_row_loses_its_folder(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    world.api.delete("b")
    history = world.start()
    history.observe_deleted(uid_of("b"))
    await world.settle(history)
    await eventually(lambda: not world.folder("b"))


async def test_evicted_batch_keeps_its_data_until_somebody_deletes_it(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    world.finish("b")
    history = world.start()
    await world.settle(history)
    history.observe_deleted(uid_of("b"))
    await world.settle(history)
    assert world.images("b") == [0, 1]

    history.delete(uid_of("b"))
    await world.settle(history)
    assert world.images("b") == []
    await eventually(lambda: not world.folder("b"))


@pytest.mark.parametrize("at", range(5))
async def test_batch_that_is_deleted_while_it_is_archived_does_not_come_back(
    world: HistoryWorld, at: int
) -> None:
    world.create("b", parts=3)
    history = world.start()
    requests = 0

    async def delete(key: str) -> None:
        nonlocal requests
        requests += 1
        if requests == at + 1:
            world.api.delete("b")
            history.observe_deleted(uid_of("b"))

    world.s3.before_get = delete
    await world.settle(history)
    await world.settle(history)

    assert "b" not in world.api.bodies
    assert world.images("b") == []
    assert world.is_marked("b") is None
    await eventually(lambda: not world.folder("b"))


async def test_tombstone_of_the_api_ends_archiving(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    await world.store.add_tombstones([uid_of("b")], batches=True)
    history = world.start()
    for _ in range(5):
        await history.round()
    assert world.images("b") == []
    assert history.waiting == 0


@pytest.mark.parametrize("is_seen", [True, False])
async def test_deletion_that_nobody_saw_is_found(world: HistoryWorld, *, is_seen: bool) -> None:
    """Either the process was away, or the watch has missed it."""
    world.create("b", parts=1)
    world.create("evicted", parts=1)
    world.finish("evicted")
    history = world.start()
    await world.settle(history)
    world.api.delete("b")

    await world.settle(history if is_seen else world.start())
    assert world.images("b") == []
    assert world.images("evicted") == [0, 1]


async def test_search_for_unseen_deletions_is_repeated_if_it_fails(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.create("b", parts=1)
    await world.settle(world.start())
    world.api.delete("b")

    async def fail() -> None:
        raise HistoryUnavailableError("away")

    history = world.start()
    monkeypatch.setattr(batch_history, "RECONCILE_SECONDS", 1e9)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "batches_in_etcd", fail)
        with pytest.raises(HistoryUnavailableError):
            await history.round()

    await world.settle(history)
    assert world.images("b") == []


async def test_deletion_is_noticed_even_if_another_batch_has_the_name(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)
    world.api.delete("b")
    world.api.create("b", uid_of("c"), prefix="inbox/")
    await world.settle(history)
    assert world.images("b") == []
    assert world.is_marked("c") is False


async def test_nothing_is_concluded_from_an_incomplete_list_or_during_a_hold(
    world: HistoryWorld,
) -> None:
    world.create("b", parts=1)
    await world.settle(world.start())
    world.api.delete("b")

    world.holds.held = {"clean"}
    history = world.start()
    for _ in range(5):
        await history.round()
    assert world.images("b") == [0, 1]


async def test_seen_deletion_waits_only_for_its_own_hold(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)
    world.api.delete("b")
    history.observe_deleted(uid_of("b"))

    world.holds.held = {"delete", "clean"}
    for _ in range(5):
        await history.round()
    assert world.images("b") == [0, 1]

    world.holds.held = {"clean"}
    for _ in range(5):
        await history.round()
    assert world.images("b") == []


async def test_batch_that_exists_although_the_list_lacked_it_is_kept(world: HistoryWorld) -> None:
    """It is asked for by name before its data goes."""
    world.create("b", parts=1)
    await world.settle(world.start())
    history = world.start()
    history._live.remove(uid_of("b"))
    for _ in range(5):
        await history.round()
    assert world.images("b") == [0, 1]


EXPIRY: dict[str, tuple[float | None, float | None, bool]] = {
    "default has ended": (3600, None, True),
    "default has not ended": (1e9, None, False),
    "for ever": (None, None, False),
    "own has ended": (None, 60, True),
    "own has not ended": (60, 2e9, False),
}


@pytest.mark.parametrize(("default", "own", "is_deleted"), EXPIRY.values(), ids=EXPIRY.keys())
async def test_evicted_batch_is_deleted_when_its_time_has_ended(
    world: HistoryWorld, default: float | None, own: float | None, *, is_deleted: bool
) -> None:
    world.data = None if default is None else timedelta(seconds=default)
    world.create("b", parts=1, **({"ttlSecondsAfterFinished": int(own)} if own else {}))
    world.finish("b")
    await world.settle(world.start())
    assert (world.images("b") == []) is is_deleted
    if is_deleted:
        await eventually(lambda: not world.folder("b"))
    else:
        assert world.folder("b")


async def test_more_deletions_than_fit_are_found_later(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "MAX_WAITING", 2)
    names = [f"b{number}" for number in range(6)]
    for name in names:
        world.create(name, parts=1)
    history = world.start()
    await world.settle(history)
    for name in names:
        world.api.delete(name)
        history.observe_deleted(uid_of(name))
    assert len(history._deletions) == 2
    await world.settle(history)
    assert world.query("SELECT count(*) FROM images") == [(0,)]


async def test_sweep_keeps_the_folders_of_batches_in_the_history(world: HistoryWorld) -> None:
    old = datetime.now(UTC) - GRACE - timedelta(seconds=1)
    for name in ("evicted", "gone"):
        world.s3.put(f"{world.bucket.folders.batches}{uid_of(name)}/index/0", modified=old)
    world.s3.put(f"{world.bucket.folders.batches}no-uid/index/0", modified=old)
    world.create("evicted")
    world.finish("evicted")
    await world.settle(world.start())

    guard = FolderGuard(world.store, world.holds)
    owner: object = FakeOwnership()
    sweep = Sweep(world.bucket, world.client, owner, world.cleaner, guard)  # type: ignore[arg-type]
    world.holds.held = {"clean"}
    with pytest.raises(HeldError):
        await sweep.sweep(datetime.now(UTC))
    assert world.folder("gone")

    world.holds.held = set()
    assert await sweep.sweep(datetime.now(UTC)) == 2
    assert world.folder("evicted")
    assert not world.folder("gone")


async def test_sweep_deletes_nothing_while_the_database_is_away(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = datetime.now(UTC) - GRACE - timedelta(seconds=1)
    world.s3.put(f"{world.bucket.folders.batches}{uid_of('gone')}/index/0", modified=old)

    async def fail(uids: object, *, batches: bool) -> set[str]:
        raise HistoryUnavailableError("away")

    monkeypatch.setattr(world.store, "known_uids", fail)
    guard = FolderGuard(world.store, world.holds)
    owner: object = FakeOwnership()
    sweep = Sweep(world.bucket, world.client, owner, world.cleaner, guard)  # type: ignore[arg-type]
    with pytest.raises(HistoryUnavailableError):
        await sweep.sweep(datetime.now(UTC))
    assert world.folder("gone")
