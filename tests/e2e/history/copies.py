"""Copy a release's bucket and database, and restore them into another one."""

import json

from faults.database.psql import DATABASE

from history.release_history import ReleaseHistory

READ_OBJECTS = """
import asyncio, json
from vision_node_contract.clients.bucket import Bucket, BucketSettings
async def main():
    async with Bucket.open(BucketSettings.from_env()) as bucket:
        pages = [page async for page in bucket.list_all("")]
        keys = [(it.key, it.size_bytes) for page in pages for it in page]
        print(json.dumps({key: (await bucket.get(key, size)).hex() for key, size in keys}))
asyncio.run(main())
"""

WRITE_OBJECTS = """
import asyncio, json, os, sys
from vision_node_contract.clients.bucket import Bucket, BucketSettings
objects = json.load(sys.stdin)
async def main():
    async with Bucket.open(BucketSettings.from_env()) as bucket:
        for key, data in objects.items():
            await bucket.put(key, bytes.fromhex(data), "application/octet-stream")
asyncio.run(main())
"""

ROOT = ("root-access-key", "root-secret-key")

Objects = dict[str, str]
"""Objects in hexadecimal by key."""


def copy_bucket(release: ReleaseHistory) -> Objects:
    """Return all objects in a release's own bucket."""
    found: Objects = json.loads(_as_root(release, READ_OBJECTS, ""))
    return found


def restore_bucket(release: ReleaseHistory, objects: Objects) -> None:
    """Store objects in a release's own bucket."""
    _as_root(release, WRITE_OBJECTS, json.dumps(objects))


def copy_database(release: ReleaseHistory) -> str:
    """Return a copy of a release's schema."""
    options = ("--username=postgres", "--no-owner", f"--schema={release.schema}")
    return release.in_postgres("pg_dump", *options, DATABASE)


def restore_database(release: ReleaseHistory, copy: str) -> None:
    """Replace a release's schema, as the documentation says, while the archiver is stopped."""
    role = "SET ROLE vision_node_archiver;"
    release.psql(f"DROP SCHEMA IF EXISTS {release.schema} CASCADE;\n{role}\n{copy}")


def _as_root(release: ReleaseHistory, program: str, stdin: str) -> str:
    """Run a program in the API's pod, with the rights of the bucket's administrator."""
    path = "go-template={{index .data %s | base64decode}}"
    access, secret = (
        release.kubectl(
            *("get", "secret", f"{release.prefix}-storage", "-o", path % json.dumps(name))
        )
        for name in ROOT
    )
    keys = (f"S3_ACCESS_KEY={access}", f"S3_SECRET_KEY={secret}")
    command = ("exec", "-i", f"deployment/{release.prefix}-api", "--", "env", *keys)

    return release.kubectl(*command, "python", "-c", program, input=stdin)
