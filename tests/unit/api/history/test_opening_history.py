"""Tests of which releases have a history, and of how the API connects to it."""

import re
from dataclasses import replace
from typing import cast

import pytest
from api_archive import Archive, job_body
from api_fakes import SETTINGS, FakeBucket
from history_database import API_ROLE, SCHEMA
from vision_node_api.app import opened_history
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.history.database import DatabaseSettings
from vision_node_contract.history.schema import schema_name


def bucket_of(release_id: str) -> Bucket:
    found = FakeBucket()
    found.folders = BucketFolders(release_id)
    return cast("Bucket", found)


async def test_history_of_the_own_release_is_read(history_url: str, archive: Archive) -> None:
    await archive.add(job_body(1))
    url = re.sub(r"\bpostgres@", f"{API_ROLE}@", history_url)
    settings = replace(SETTINGS, database=DatabaseSettings(url))
    release_id = SCHEMA.removeprefix(schema_name("x").removesuffix("x"))

    async with opened_history(settings, bucket_of(release_id)) as history:
        assert history
        assert await history.find_job("job-1")


@pytest.mark.parametrize(("has_url", "release_id"), [(True, ""), (False, "aaaabbbbcccc")])
async def test_release_without_database_or_id_has_no_history(
    *, has_url: bool, release_id: str
) -> None:
    database = DatabaseSettings("postgresql://127.0.0.1:1/x") if has_url else None
    settings = replace(SETTINGS, database=database)
    async with opened_history(settings, bucket_of(release_id)) as history:
        assert history is None
