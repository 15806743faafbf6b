"""The history's statements use indexes, and leave nothing behind in a session."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from history_database import SCHEMA, START, image_row, row_count, rows_of, uid_of
from postgres import Postgres
from psycopg import AsyncConnection
from vision_node_contract.history.database import Database, DatabaseSettings, Limits
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history.marks import EvictionMarks
from vision_node_operator.archiver.history.store import HistoryStore

ROWS = 20_000
BATCH = uid_of(ROWS + 1)
ONE_CONNECTION = Limits(connections=1, statement_seconds=60.0, answer_seconds=120.0)

Call = Callable[[HistoryStore], Awaitable[object]]

LATE = START + timedelta(days=300)
DAY = timedelta(days=1)
KEYS = [f"images/h7k2p9q4/{number}" for number in range(0, ROWS, 40)]
UIDS = [uid_of(number) for number in range(0, ROWS, 40)]

CALLS: list[tuple[str, Call]] = [
    ("in_etcd", lambda it: it.in_etcd(None, 1000)),
    ("in_etcd after", lambda it: it.in_etcd(uid_of(ROWS // 2), 1000)),
    ("expired_jobs", lambda it: it.expired_jobs(LATE, DAY, 500)),
    ("no expired_jobs", lambda it: it.expired_jobs(START, DAY, 500)),
    ("images_ended_before", lambda it: it.images_ended_before(LATE, 500)),
    ("named_images", lambda it: it.named_images(KEYS)),
    ("known_uids", lambda it: it.known_uids(UIDS)),
    ("keys_of", lambda it: it.keys_of(UIDS)),
    ("mark", lambda it: EvictionMarks(it._database, it.counter).mark(dict.fromkeys(UIDS), LATE)),
    ("unmark", lambda it: EvictionMarks(it._database, it.counter).unmark(UIDS, LATE)),
    ("marked", lambda it: EvictionMarks(it._database, it.counter).marked(UIDS)),
    ("forget_images", lambda it: it.forget_images(UIDS)),
    ("add_jobs", lambda it: it.add_jobs(rows_of(*range(ROWS, ROWS + 20)), 1)),
    ("add_tombstones", lambda it: it.add_tombstones(UIDS)),
    ("to_clean", lambda it: it.to_clean(100)),
    ("drop_old_tombstones", lambda it: it.drop_old_tombstones(LATE)),
    ("no drop_old_tombstones", lambda it: it.drop_old_tombstones(START)),
    ("drop_old_usage", lambda it: it.drop_old_usage(LATE + timedelta(days=400))),
    ("no drop_old_usage", lambda it: it.drop_old_usage(START)),
    ("keep_all", lambda it: it.keep_all(UIDS)),
    ("count", lambda it: it.count()),
    ("delete_jobs", lambda it: it.delete_jobs(UIDS)),
    ("delete_batch_images", lambda it: it.delete_batch_images(BATCH, 500)),
]


# A third of the jobs have a time to live of their own, and one of twenty is in etcd.
FILL = """
SET search_path = {schema};
ALTER TABLE images SET (autovacuum_enabled = off);
ALTER TABLE jobs SET (autovacuum_enabled = off);
ALTER TABLE tombstones SET (autovacuum_enabled = off);
ALTER TABLE usage SET (autovacuum_enabled = off);
CREATE TEMP TABLE numbers AS
    SELECT n, '2026-01-01Z'::timestamptz + n * interval '1 s' AS at,
        ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid AS uid
    FROM generate_series(0, {rows} - 1) AS n;
INSERT INTO images (uid, at, name, describer, phase, body, excerpt, search)
    SELECT uid, at, 'job-' || n, 'local', 'done', '{{}}', '{{}}', $$'0:cat'$$ FROM numbers;
INSERT INTO jobs (uid, name, finished_at, expires_at, evicted_at, image_key)
    SELECT uid, 'job-' || n, at, CASE WHEN n % 3 = 0 THEN at END,
        CASE WHEN n % 20 > 0 THEN now() END, 'images/h7k2p9q4/' || n
    FROM numbers;
INSERT INTO tombstones (uid, deleted_at, cleaned_at)
    SELECT gen_random_uuid(), at, CASE WHEN n % 1000 > 0 THEN at END FROM numbers;
INSERT INTO usage
    SELECT '2026-01-01'::date + n / 50, 'owner-' || n % 50, 'local', 1, 0, 1, 0, 0 FROM numbers;
"""


@pytest.fixture(scope="module", params=["analyzed", "not analyzed"])
def many_rows(postgres: Postgres, history_template: str, request: pytest.FixtureRequest) -> str:
    """The name of a database with 20,000 jobs, of which the planner knows or not."""
    name = postgres.create_database(history_template)
    postgres.execute(FILL.format(schema=SCHEMA, rows=ROWS), name)
    if request.param == "analyzed":
        postgres.execute("ANALYZE", name)
    return name


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
async def test_no_table_is_read_whole(postgres: Postgres, many_rows: str, call: Call) -> None:
    settings = DatabaseSettings(postgres.url(many_rows))
    async with Database.open(settings, SCHEMA, ONE_CONNECTION) as database:
        before = await rows_read_in_sequence(database)
        await call(HistoryStore(database))
        assert await rows_read_in_sequence(database) == before

        # The counter works.
        assert await row_count(database, "images WHERE custom_id IS NULL") > 0
        assert await rows_read_in_sequence(database) > before


async def rows_read_in_sequence(database: Database) -> int:
    """Return how many rows of the large tables were read by sequential scans."""

    async def flush(connection: AsyncConnection) -> None:
        await connection.execute("SELECT pg_stat_force_next_flush()")

    await database.run(flush)
    return await row_count(
        database,
        "pg_stat_user_tables, generate_series(1, seq_tup_read)"
        " WHERE relname IN ('images', 'jobs', 'tombstones', 'usage')",
    )


async def test_sessions_keep_nothing(postgres: Postgres, history_url: str) -> None:
    settings = DatabaseSettings(history_url)
    async with Database.open(settings, SCHEMA, ONE_CONNECTION) as database:
        store = HistoryStore(database)
        for number in range(8):  # psycopg prepares a statement that it has seen five times
            await store.add_jobs(rows_of(number), 1)
            await EvictionMarks(database, store.counter).mark({uid_of(number): None}, START)
            await store.delete_jobs([uid_of(number)])
        body = {"metadata": {"name": "b", "uid": BATCH}, "spec": {"prefix": "x/"}}
        await store.add_batch(ImageBatch.model_validate(body), "{}")
        await store.add_batch_images(BATCH, 0, [image_row(0, uid=BATCH, image_index=0)])

        assert await row_count(database, "pg_prepared_statements") == 0
        assert await row_count(database, "pg_class WHERE relpersistence = 't'") == 0
        assert await row_count(database, "pg_locks WHERE locktype = 'advisory'") == 0
