"""Tests of freezing while requests fail, others write, and the process is killed."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web
from archiver_helpers import BATCHES, INBOX, Frozen, until
from fakes.batch_api import BatchApi
from fakes.s3 import S3, do_nothing
from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.clients.kube import KubeError
from vision_node_operator.archiver.freezer import Freezer
from vision_node_operator.archiver.manifests.freeze_errors import AttemptLostError, BatchGoneError

FreezerOf = Callable[..., Freezer]

IMAGES = 3500
FOLDER = f"{BATCHES}u-b/"


@pytest.fixture
def batch(s3: S3, api: BatchApi) -> None:
    """A queued ImageBatch with images for four objects."""
    for number in range(IMAGES):
        s3.put(f"{INBOX}{number:04}")
    api.create("b", prefix="inbox/")


def own_keys(s3: S3) -> list[str]:
    return [key for key in s3.objects if key.startswith(FOLDER)]


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize("at", range(1, 5))
async def test_killed_archiver_leaves_a_batch_that_the_next_one_freezes(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, at: int
) -> None:
    puts = 0

    async def stop(key: str) -> None:
        nonlocal puts
        puts += 1
        if puts == at:
            killed.cancel()

    s3.before_put = stop
    killed = asyncio.create_task(freezer_of().freeze("b", "u-b"))
    await asyncio.wait({killed})
    assert killed.cancelled()
    assert api.batch("b").status.phase == "queued"
    await freezer_of().freeze("b", "u-b")

    assert len(frozen("b")) == IMAGES
    await until(lambda: len(own_keys(s3)) == 4)


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize("is_written", [False, True])
async def test_archiver_that_is_killed_while_it_writes_the_status_does_no_harm(
    api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, *, is_written: bool
) -> None:
    if is_written:
        await freezer_of().freeze("b", "u-b")
    else:

        async def stop(name: str) -> None:
            killed.cancel()
            await asyncio.wait({killed})
            api.refusals.append(503)

        api.before_patch = stop
        killed = asyncio.create_task(freezer_of().freeze("b", "u-b"))
        await asyncio.wait({killed})
    before = api.batch("b").status.manifest

    async def do_nothing(name: str) -> None:
        api.refusals.clear()

    api.before_patch = do_nothing
    await freezer_of().freeze("b", "u-b")

    after = api.batch("b").status.manifest
    assert len(frozen("b")) == IMAGES
    assert (before == after) is is_written


@pytest.mark.usefixtures("batch")
async def test_two_archivers_never_write_the_same_object(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    """Both look for a folder before either has written to it."""
    lists = 0
    both = asyncio.Event()

    async def wait_for_both(prefix: str) -> None:
        nonlocal lists
        lists += prefix == FOLDER
        if lists == 2:
            both.set()
        await both.wait()

    s3.before_list = wait_for_both
    results = await asyncio.gather(
        freezer_of().freeze("b", "u-b"), freezer_of().freeze("b", "u-b"), return_exceptions=True
    )

    assert [type(it) for it in results if it] == [AttemptLostError]
    assert len(frozen("b")) == IMAGES


@pytest.mark.usefixtures("batch")
async def test_slower_archiver_gives_way_and_deletes_its_copy(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    async def overtake(name: str) -> None:
        api.before_patch = lambda _: asyncio.sleep(0)
        await freezer_of().freeze("b", "u-b")

    api.before_patch = overtake
    await freezer_of().freeze("b", "u-b")

    manifest = api.batch("b").status.manifest
    assert manifest
    assert manifest.folder == f"{FOLDER}m2/"
    assert len(frozen("b")) == IMAGES
    await until(lambda: len(own_keys(s3)) == 4)
    assert len(api.events) == 1


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize("refusals", [[503], [409, 503, 500, 504], [403, 403]])
async def test_manifest_is_kept_until_its_status_is_written(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, refusals: list[int]
) -> None:
    api.refusals = refusals
    await freezer_of().freeze("b", "u-b")
    assert len(frozen("b")) == IMAGES
    assert {key.split("/")[3] for key in own_keys(s3)} == {"m1"}


@pytest.mark.usefixtures("batch")
async def test_lost_answer_to_the_write_of_the_status_is_no_failure(
    api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    api.loses_answers = 1
    await freezer_of().freeze("b", "u-b")
    assert len(frozen("b")) == IMAGES
    assert (len(api.patches), len(api.events)) == (1, 1)


@pytest.mark.usefixtures("batch")
async def test_batch_that_is_cancelled_meanwhile_fails_and_its_copy_is_deleted(
    s3: S3, api: BatchApi, freezer_of: FreezerOf
) -> None:
    async def cancel(name: str) -> None:
        if not api.batch("b").spec.cancel:
            api.change("b", cancel=True)

    api.before_patch = cancel
    await freezer_of().freeze("b", "u-b")

    assert api.condition("b", "Failed")[:2] == ("True", "Cancelled")
    await until(lambda: not own_keys(s3))


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize("has_successor", [False, True])
async def test_batch_that_is_deleted_meanwhile_is_not_written(
    api: BatchApi, freezer_of: FreezerOf, *, has_successor: bool
) -> None:
    async def delete(name: str) -> None:
        api.delete("b")
        if has_successor:
            api.create("b", uid="u-c", prefix="inbox/")

    api.before_patch = delete
    with pytest.raises(BatchGoneError):
        await freezer_of().freeze("b", "u-b")
    assert not api.patches


@pytest.mark.usefixtures("batch")
async def test_bucket_that_fails_lets_no_batch_fail(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    freezer = freezer_of()
    s3.fails = (507, "XMinioStorageFull")
    with pytest.raises(StoreUnavailableError) as raised:
        await freezer.freeze("b", "u-b")
    for _ in range(3):
        await freezer.report_waiting("b", "u-b", raised.value)
    assert len(api.patches) == 1
    assert api.condition("b", "Waiting")[:2] == ("True", "StorageFull")
    assert "enlarge its volume" in api.condition("b", "Waiting")[2]

    s3.fails = None
    await freezer.freeze("b", "u-b")

    assert len(frozen("b")) == IMAGES
    assert api.condition("b", "Waiting")[:2] == ("False", "NotWaiting")


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize("how", ["full", "cancelled"])
async def test_failed_try_leaves_nothing_in_the_bucket_and_its_folder_is_not_used_again(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, how: str
) -> None:
    """Otherwise, attempts in a full bucket would take whatever others free."""

    async def fail(key: str) -> None:
        if key.endswith("/000002000"):
            if how == "full":
                raise web.HTTPInsufficientStorage
            attempt.cancel()

    s3.before_put = fail
    freezer = freezer_of()
    for _ in range(3):
        attempt = asyncio.create_task(freezer.freeze("b", "u-b"))
        await asyncio.wait({attempt})
        assert attempt.cancelled() or isinstance(attempt.exception(), StoreUnavailableError)
        await until(lambda: not own_keys(s3))

    s3.before_put = do_nothing
    await freezer.freeze("b", "u-b")
    assert len(frozen("b")) == IMAGES
    assert {key.split("/")[3] for key in own_keys(s3)} == {"m4"}


@pytest.mark.usefixtures("batch")
async def test_failed_try_does_not_delete_the_folder_of_another_archiver(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    other = f"{FOLDER}m1/000000000"

    async def take(key: str) -> None:
        s3.put(other)

    s3.before_put = take
    freezer = freezer_of()
    with pytest.raises(AttemptLostError):
        await freezer.freeze("b", "u-b")

    s3.put(f"{BATCHES}u-c/m1/000000000")
    freezer._clean(f"{BATCHES}u-c/")  # deletions are in order
    await until(lambda: f"{BATCHES}u-c/m1/000000000" not in s3.objects)
    assert own_keys(s3) == [other]


@pytest.mark.usefixtures("batch")
async def test_batch_that_has_become_invalid_is_not_treated_as_deleted(
    s3: S3, api: BatchApi, freezer_of: FreezerOf
) -> None:
    s3.put(f"{FOLDER}m1/000000000")
    api.change("b", describer=["local"])
    with pytest.raises(KubeError, match="can't be read"):
        await freezer_of().freeze("b", "u-b")
    assert own_keys(s3)
