"""Rows of the history are written once, in any company."""

from history_database import rows_of, uid_of
from vision_node_operator.archiver.history.store import ExpiredJob, HistoryStore, Written


async def test_rows_are_added_once(history: HistoryStore) -> None:
    assert await history.add_jobs(rows_of(1, 2), 7) == Written(2, 0)
    assert await history.add_jobs(rows_of(2, 3), 5) == Written(1, 0)

    owner = await history.read_owner()
    assert owner is not None
    assert (owner.written, owner.resource_version) == (3, 7)
    assert await history.count() == 3


async def test_deleted_rows_are_gone(history: HistoryStore) -> None:
    await history.add_jobs(rows_of(1, 2), 7)
    await history.delete_jobs([uid_of(1)])

    assert await history.keys_of([uid_of(1), uid_of(2)]) == [
        ExpiredJob(uid_of(2), "job-2", "images/h7k2p9q4/2", None)
    ]
    assert await history.count() == 1
