"""Images under inbox/ in the bucket, for ImageJobs that are created with kubectl."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.clients.bucket import (
    TRANSFER_SECONDS,
    ObjectChangedError,
    ObjectNotFoundError,
)
from vision_node_contract.clients.bucket_errors import silence
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.models.imagejob import ImageRef
from vision_node_contract.models.reasons import Reason

from ..uploads.form import Upload
from ..web.problems import Problem
from .inbox_cursor import invalid_cursor, read_cursor, write_cursor
from .inbox_name import is_name, key_of, key_prefix_of
from .jobs import ANY_TYPE, Jobs

ANSWER_SECONDS = TRANSFER_SECONDS
"""Time limit for all requests to the bucket that one answer needs; GET /limits promises it."""

STORE_ATTEMPTS = 3
"""Attempts to store an image while other requests keep changing the same name."""

SHOWN_JOBS = 10
"""Maximum ImageJobs that a refusal lists."""


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page of the inbox, sorted by name."""

    objects: list[StoredObject]
    cursor: str | None
    """The cursor of the next page; None on the last."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """Stores, lists and deletes the images of the inbox.

    The watch tells which ImageJobs name an object, so an ImageJob that was created a moment ago may
    be missed. It then fails with ImageNotFound, or describes the image that replaced its own.
    """

    jobs: Jobs

    async def put(self, name: str, upload: Upload, *, replace: bool) -> tuple[StoredObject, bool]:
        """Store an image; return the stored object, and whether the name is new.

        Storing the same bytes again only restarts the object's retention period.

        Raises:
            Problem: the upload is refused (see intake); 409 ObjectExists, ObjectInUse or
            ObjectChanged; 422
                InvalidName or OptionsInvalid; 503 while storage is away.
        """
        key = key_of(name)
        _refuse_options(upload)
        image = await self.jobs.inspect(upload, key)

        with self.jobs.storing(writing=True):
            async with _in_time():
                is_new = await self._put(image, upload.data, replace=replace)

        return _stored(image), is_new

    async def stat(self, name: str) -> StoredObject:
        """Return an object's metadata.

        Raises:
            Problem: 404 ObjectNotFound; 422 InvalidName; 503 while storage is away.
        """
        key = key_of(name)
        with self.jobs.storing():
            async with _in_time():
                found = await self._find(key)
        if found is None:
            raise _unknown(key)
        return found

    async def list(self, prefix: str, cursor: str | None, most: int) -> InboxPage:
        """Return up to `most` objects whose names begin with `prefix`.

        Objects that bypassed the API and have names that no ImageJob can use are left out, so a
        page may have fewer although more follow.

        Raises:
            Problem: 422 InvalidName or InvalidCursor; 503 while storage is away.
        """
        key_prefix = key_prefix_of(prefix)
        after = read_cursor(cursor, key_prefix) if cursor else ""
        try:
            with self.jobs.storing():
                async with _in_time():
                    page = await self.jobs.store.list_page(key_prefix, after, most)
        except ObjectNotFoundError as error:  # no list has such a place
            raise invalid_cursor() from error

        next_cursor = (
            None if page.is_last or not page.objects else write_cursor(page.objects[-1].key)
        )
        return InboxPage([it for it in page.objects if is_name(name_of(it))], next_cursor)

    async def delete(self, name: str, *, force: bool) -> None:
        """Remove an object.

        Raises:
            Problem: 404 ObjectNotFound; 409 ObjectInUse: an unfinished ImageJob names it, and not
            `force`;
                422 InvalidName; 503 while storage is away.
        """
        key = key_of(name)
        if not force:
            self._check_unused(key, "add ?force=true, and they will fail with ImageNotFound")

        with self.jobs.storing():  # not writing=True: a deletion does not prove that there is room
            async with _in_time():
                found = await self._find(key)
                if found:
                    await self.jobs.store.delete(key)

        if found is None:
            raise _unknown(key)

    async def _put(self, image: ImageRef, data: bytes, *, replace: bool) -> bool:
        media_type, sha256 = image.media_type or ANY_TYPE, image.sha256 or ""
        for _ in range(STORE_ATTEMPTS):
            known = await self._find(image.key)
            if known and known.sha256 != sha256:
                self._check_replaceable(image.key, replace=replace)
            if known is None:
                await self._check_alone(image.key)
            etag = known.etag if known else None
            try:
                await self.jobs.store.put_if(image.key, data, media_type, sha256, etag)
            except ObjectChangedError:
                continue

            return known is None

        detail = f"other requests keep changing {image.key}; send the image again"
        raise Problem(409, "ObjectChanged", detail)

    async def _check_alone(self, key: str) -> None:
        """Refuse a key above or below another object's: MinIO would not list the lower one."""
        parts = key.split("/")
        above = ["/".join(parts[:length]) for length in range(2, len(parts))]
        found = await asyncio.gather(*(self._find(each) for each in above))
        below = await self.jobs.store.list_page(f"{key}/", "", 1)
        taken = [it.key for it in (*found, *below.objects) if it]

        if taken:
            detail = (
                f"{taken[0]} is there, and can't be both an image and a folder; choose another name"
            )
            raise Problem(409, "ObjectExists", detail)

    async def _find(self, key: str) -> StoredObject | None:
        try:
            return await self.jobs.store.stat(key)
        except ObjectNotFoundError:
            return None

    def _check_replaceable(self, key: str, *, replace: bool) -> None:
        if not replace:
            detail = f"{key} already exists with different bytes; choose another name, or add ?replace=true"
            raise Problem(409, "ObjectExists", detail)
        self._check_unused(key, "choose another name")

    def _check_unused(self, key: str, otherwise: str) -> None:
        if names := self.jobs.cache.naming(key):
            shown = ", ".join(names[:SHOWN_JOBS]) + (
                " and others" if len(names) > SHOWN_JOBS else ""
            )
            advice = f"wait for them, cancel them, or {otherwise}"
            detail = f"{key} is in use by unfinished ImageJobs: {shown}; {advice}"
            raise Problem(409, "ObjectInUse", detail, imagejobs=names[:SHOWN_JOBS])


def name_of(found: StoredObject) -> str:
    """Return the object's name under /inbox."""
    return found.key.removeprefix(INBOX_PREFIX)


def _stored(image: ImageRef) -> StoredObject:
    """Return the object in the bucket of an image that was stored just now."""
    return StoredObject(
        key=image.key,
        size_bytes=image.size_bytes or 0,
        modified=datetime.now(UTC),
        media_type=image.media_type,
        sha256=image.sha256,
    )


def _refuse_options(upload: Upload) -> None:
    if upload.fields:
        names = ", ".join(sorted(upload.fields))
        detail = (
            f"{names}: the inbox takes no options; set them in the ImageJob's spec, or use /submit"
        )
        raise Problem(422, Reason.OPTIONS_INVALID, detail)


def _unknown(key: str) -> Problem:
    detail = f"{key} does not exist; it may have expired. GET /inbox lists the objects that exist"
    return Problem(404, "ObjectNotFound", detail)


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """Limit the time of the block, which sends requests to the bucket."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise silence(error) from error
