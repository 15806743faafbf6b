"""SQL of the faults and of the check. Names of tables refer to the release's schema."""

from collections.abc import Iterator

from vision_node_contract.history.schema import SINGLE

_TABLES = ("images", "jobs", "batches")
"""Tables that the archiver writes, and that a fault affects."""


def _fail(action: str) -> str:
    """Return statements that create a trigger for each table, which performs `action` first."""
    function = (
        "CREATE OR REPLACE FUNCTION injected_fault() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$ BEGIN {action}; RETURN NULL; END $$;"
    )
    triggers = [
        f"DROP TRIGGER IF EXISTS injected_fault ON {table};"
        f"CREATE TRIGGER injected_fault BEFORE INSERT OR UPDATE OR DELETE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION injected_fault();"
        for table in _TABLES
    ]
    return "\n".join([function, *triggers])


FILL = _fail("RAISE EXCEPTION 'the disk is full (an injected fault)' USING ERRCODE = '53100'")
"""Makes every write fail, as on a full disk (SQLSTATE disk_full)."""

SLOW_DOWN = _fail("PERFORM pg_sleep(2)")
"""Makes every write take two seconds longer."""

HEAL = "DROP FUNCTION IF EXISTS injected_fault() CASCADE;"
"""Undoes FILL and SLOW_DOWN."""


def close(database: str) -> str:
    """Return a statement that refuses new connections to a database."""
    return f"ALTER DATABASE {database} ALLOW_CONNECTIONS false;"


def reopen(database: str) -> str:
    """Return a statement that undoes close()."""
    return f"ALTER DATABASE {database} ALLOW_CONNECTIONS true;"


def disconnect(database: str) -> str:
    """Return a statement that ends all connections to a database but this one."""
    return (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 (a constant)
        f"WHERE datname = '{database}' AND pid <> pg_backend_pid();"
    )


NOTE_EVICTED = """
CREATE TABLE IF NOT EXISTS public.fault_evicted (uid uuid PRIMARY KEY);
LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE;
INSERT INTO public.fault_evicted SELECT uid FROM jobs WHERE evicted_at IS NOT NULL
ON CONFLICT DO NOTHING;
"""
"""Notes which jobs only PostgreSQL knows just before it is restored, in a table that stays."""

READ_EVICTED = "SELECT uid FROM public.fault_evicted;"

DROP_EVICTED = "DROP TABLE IF EXISTS public.fault_evicted;"


def restore(copy: str, schema: str) -> str:
    """Return statements that replace the schema with a copy.

    They belong into one transaction. If it is unknown whether they worked, they can be repeated.
    """
    return "\n".join([NOTE_EVICTED, f"DROP SCHEMA {schema} CASCADE;", copy])


def copied_uids(copy: str, schema: str) -> set[str]:
    """Return the uids of the jobs in a copy of the schema."""
    return set(_copied(copy, f"COPY {schema}.jobs (uid, "))


def _copied(copy: str, head: str) -> Iterator[str]:
    """Yield the first column of the rows of a table, which follow its head."""
    is_inside = False
    for line in copy.split("\n"):
        if line == "\\.":
            is_inside = False
        elif is_inside:
            yield line.partition("\t")[0]
        elif line.startswith(head):
            is_inside = True


READ_ROWS = f"""
SELECT coalesce(json_agg(found), '[]') FROM (
    SELECT coalesce(i.uid, j.uid) AS uid, coalesce(i.name, j.name) AS name, i.phase,
        i.uid IS NOT NULL AS has_image_row, j.uid IS NOT NULL AS has_job_row,
        j.evicted_at IS NOT NULL AS evicted, j.image_key, j.result_key, i.archive_error
    FROM (SELECT * FROM images WHERE image_index = {SINGLE}) i
    FULL JOIN jobs j USING (uid)
) found;
"""  # noqa: S608 (a constant)
"""Prints all rows of single images as JSON."""

READ_ARCHIVED_UIDS = "SELECT uid FROM jobs;"

READ_BATCH_ROWS = """
SELECT coalesce(json_object_agg(name, images), '{}') FROM (
    SELECT name, count(*) AS images FROM images WHERE image_index >= 0 GROUP BY name
) found;
"""
"""Prints the numbers of archived images by ImageBatch, as JSON."""
