"""Names and versions of the history's tables.

Each release has a schema of its own, so several releases can share a database. The tables are
defined by operator/vision_node_operator/archiver/history/migrations/*.sql:

- images has a row for each image that was described or has failed. Rows don't change.
- jobs has the lifecycle of each single image: when it expires, whether its ImageJob was evicted
  from etcd, and the keys of its objects.
- batches has each ImageBatch, and how many of its results are in `images`.
- tombstones names what was deleted, so that rows which are being written don't bring it back.
- usage has what each owner has used, by day and describer. It counts each row of `images` once, and
  keeps the numbers after the row is deleted.
- chunks divides `images` by time, so that searches need to look only at the newest chunks.
- deliveries has a row for each message to a callback (webhook) of a job or batch that has ended.
- owner says which release the schema belongs to, and how much has been written.
"""

SCHEMA_VERSION = 5
"""Version of the schema that this release's archiver creates. It is the number of migrations."""

OLDEST_READABLE = 1
"""The oldest version of the schema that this release's API can read. Newer versions only add to
older ones, so the API can read those, too."""

CALLBACKS_SINCE = 4
"""The oldest version of the schema with the table deliveries."""

SINGLE = -1
"""Value of `image_index` for a single image. Images of batches have their index, from 0."""

CHUNK_ROWS = 16_384
"""Number of rows after which a new chunk begins. A search for a common word reads the matches of
one chunk, and a search for a word that does not exist has to look into every chunk. With a million
rows, this number keeps both fast (docs/performance.md)."""

TOMBSTONE_DAYS = 7
"""How long a tombstone is kept, in days. Rows that an archiver writes late are minutes old at
most."""


USAGE_DAYS = 400
"""How long a row of the table usage is kept, in days: a year, and some time to look at its end."""


def schema_name(release_id: str) -> str:
    """Return the name of a release's schema in the database.

    Raises:
        ValueError: The release has no id, because its chart is too old.
    """
    if not release_id:
        raise ValueError("a release without an id has no schema")

    return f"vision_node_{release_id}"
