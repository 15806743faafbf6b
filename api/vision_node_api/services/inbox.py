"""Manage the images under inbox/ in the bucket, for ImageJobs that are created with kubectl.

Images are stored in the release's own folder, inbox/<id>/; those of a client that sees only its own
objects, in the folder of its owner. Older releases stored them in inbox/, where they can still be
read and deleted by name by clients that see all objects. They are not listed, because they may
belong to another release.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

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
from ..watch.imagebatch_cache import ImageBatchCache
from ..web.problems import Problem
from .inbox_cursor import invalid_cursor, read_cursor, write_cursor
from .inbox_folder import client_folder
from .inbox_name import (
    MAX_KEY_BYTES,
    MAX_NAME_BYTES,
    is_inbox_name,
    require_inbox_name,
    require_inbox_prefix,
    require_owned_place,
)
from .jobs import ANY_TYPE, Jobs
from .older_inbox import OlderInbox
from .owners import is_access_controlled, visible_owner
from .ownership import OwnershipCheck

RESPONSE_SECONDS = TRANSFER_SECONDS
"""Maximum total number of seconds that all bucket requests for one response may take. GET /limits
reports a limit that includes this time."""

STORE_ATTEMPTS = 3
"""Maximum number of attempts to store an image while other requests keep changing the object."""

MAX_LISTED_JOBS = 10
"""Maximum number of ImageJobs, and of ImageBatches, that an error message lists."""


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page of the inbox, sorted by name."""

    objects: list[StoredObject]
    cursor: str | None
    """The cursor of the next page; None on the last page."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """Stores, lists and deletes the images in the inbox.

    An image that is in use can't be replaced or deleted. However, this check relies on the watch,
    so it may miss an ImageJob that has just been created. Such an ImageJob fails with ImageNotFound
    if its image was deleted, or describes the new image if its image was replaced. It also misses
    the images that the list of an ImageBatch names.
    """

    jobs: Jobs
    batches: ImageBatchCache
    ownership: OwnershipCheck | None = None
    older: OlderInbox = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "older", OlderInbox(self.jobs.bucket))

    async def put(self, name: str, upload: Upload, *, replace: bool) -> tuple[StoredObject, bool]:
        """Store an image. Return the stored object, and whether its name is new.

        If the same bytes are stored again, the only effect is that the object's retention period
        starts over.

        Raises:
            Problem: the image is not acceptable (see inspect_image); 409 ObjectExists, ObjectInUse,
                ObjectChanged; 422 InvalidName, OptionsInvalid; 429 DailyBytesUsed; 503 while
                storage is unavailable or the inbox belongs to another release.
        """
        self.require_new_name(name)
        self._require_ownership()
        _refuse_options(upload)
        image = await self.jobs.inspect(upload, self._folder + name)

        await self.jobs.quotas.refresh()
        with self.jobs.quotas.receiving() as received:
            received.add(len(upload.data))
            with self.jobs.storage_problems(writing=True):
                async with _time_limit():
                    is_new = await self._put(image, upload.data, replace=replace)

        return _stored(image), is_new

    async def stat(self, name: str) -> StoredObject:
        """Return an object's metadata.

        Raises:
            Problem: 404 ObjectNotFound; 422 InvalidName; 503 while storage is unavailable.
        """
        require_inbox_name(name, self._max_name_bytes)
        with self.jobs.storage_problems():
            async with _time_limit():
                found = await self._find_by_name(name)

        if found is None:
            raise _not_found(self._folder + name)

        return found

    async def list(self, prefix: str, cursor: str | None, limit: int) -> InboxPage:
        """Return up to `limit` objects whose names begin with `prefix`.

        Objects that other programs stored may have names that no ImageJob can use. Such objects are
        left out, so a page may have fewer than `limit` objects even if more pages follow.

        Raises:
            Problem: 422 InvalidName, InvalidCursor; 503 while storage is unavailable.
        """
        require_inbox_prefix(prefix, self._max_name_bytes)
        key_prefix = self._folder + prefix
        after = read_cursor(cursor, key_prefix) if cursor else ""

        try:
            with self.jobs.storage_problems():
                async with _time_limit():
                    page = await self.jobs.bucket.list_page(key_prefix, after, limit)
        except ObjectNotFoundError as error:  # the cursor contains an invalid key
            raise invalid_cursor() from error

        objects = [it for it in page.objects if is_inbox_name(self.name_of(it))]
        if page.is_last or not page.objects:
            return InboxPage(objects, None)

        return InboxPage(objects, write_cursor(page.objects[-1].key))

    async def delete(self, name: str, *, force: bool) -> None:
        """Delete an object.

        Raises:
            Problem: 404 ObjectNotFound; 409 ObjectInUse if an unfinished ImageJob uses the object
                and `force` is false; 422 InvalidName; 503 while storage is unavailable or the
                inbox belongs to another release.
        """
        require_inbox_name(name, self._max_name_bytes)
        self._require_ownership()
        key = self._folder + name
        if not force:
            alternative = "add ?force=true (they will then fail with ImageNotFound)"
            self._require_unused(key, alternative)

        # A deletion is not recorded as a write, because it does not prove that storage has space.
        with self.jobs.storage_problems():
            async with _time_limit():
                found = await self._find_by_name(name)
                if found:
                    await self.jobs.bucket.delete(found.key)

        if found is None:
            raise _not_found(key)

    def expires_at(self, found: StoredObject) -> datetime | None:
        """Return when the object expires; None if it is kept forever.

        The objects of older releases don't expire, because no sweep lists them.
        """
        kept = self.jobs.settings.inbox_kept
        return found.modified + kept if kept and found.key.startswith(self._folder) else None

    def require_new_name(self, name: str) -> None:
        """Refuse a name that an object can't get.

        Raises:
            Problem: 422 InvalidName.
        """
        require_inbox_name(name, self._max_name_bytes)
        if visible_owner() is None and is_access_controlled():
            require_owned_place(name)

    def _require_ownership(self) -> None:
        """Refuse a change of an inbox that belongs to another release.

        Names are not unique, so the change could overwrite or delete the other release's images.
        """
        state = self.ownership.state if self.ownership else None
        if state and not state.is_ok:
            raise Problem(503, state.state, state.detail)

    def name_of(self, found: StoredObject) -> str:
        """Return the object's name under /inbox."""
        folder = self._folder if found.key.startswith(self._folder) else INBOX_PREFIX
        return found.key.removeprefix(folder)

    async def _put(self, image: ImageRef, data: bytes, *, replace: bool) -> bool:
        """Store an image, and return whether its name is new."""
        media_type = image.media_type or ANY_TYPE
        sha256 = image.sha256 or ""

        for _ in range(STORE_ATTEMPTS):
            existing = await self._find(image.key)
            if existing is None:
                await self._require_no_folder_conflict(image.key)
                await self._require_not_hidden(image.key, replace=replace)
            elif existing.sha256 != sha256:
                self._require_replaceable(image.key, replace=replace)

            etag = existing.etag if existing else None
            try:
                await self.jobs.bucket.put_if(image.key, data, media_type, sha256, etag)
            except ObjectChangedError:
                continue

            return existing is None

        detail = f"Other requests keep changing {image.key}. Send the image again."
        raise Problem(409, "ObjectChanged", detail)

    async def _require_no_folder_conflict(self, key: str) -> None:
        """Refuse a key if an image and a folder would then have the same name.

        MinIO would not list the objects in such a folder.
        """
        parts = key.removeprefix(self._folder).split("/")
        above = [self._folder + "/".join(parts[:length]) for length in range(1, len(parts))]
        found = await asyncio.gather(*(self._find(each) for each in above))
        below = await self.jobs.bucket.list_page(f"{key}/", "", 1)
        conflicts = [it.key for it in (*found, *below.objects) if it]

        if conflicts:
            detail = (
                f"{key} conflicts with the existing object {conflicts[0]}: a name can't be both an "
                "image and a folder. Choose another name."
            )
            raise Problem(409, "ObjectExists", detail)

    async def _require_not_hidden(self, key: str, *, replace: bool) -> None:
        """Refuse an image that would take the place of an older release's image that is in use."""
        if not self._users_of(key) and not self._batches_of(key):
            return

        older = await self._find_older(key.removeprefix(self._folder))
        if older:
            self._require_replaceable(older.key, replace=replace)

    @property
    def _folder(self) -> str:
        """The folder to which the client's names are relative."""
        return client_folder(self.jobs.bucket.folders)

    @property
    def _max_name_bytes(self) -> int:
        return min(MAX_NAME_BYTES, MAX_KEY_BYTES - len(self._folder))

    async def _find_by_name(self, name: str) -> StoredObject | None:
        """Return the object with this name, which an older release may have stored."""
        return await self._find(self._folder + name) or await self._find_older(name)

    async def _find_older(self, name: str) -> StoredObject | None:
        """Return the image that an older release has stored; it had no owners."""
        return await self.older.find(name) if visible_owner() is None else None

    async def _find(self, key: str) -> StoredObject | None:
        try:
            return await self.jobs.bucket.stat(key)
        except ObjectNotFoundError:
            return None

    def _require_replaceable(self, key: str, *, replace: bool) -> None:
        if not replace:
            detail = (
                f"{key} already exists with different bytes. "
                "Choose another name, or add ?replace=true."
            )
            raise Problem(409, "ObjectExists", detail)

        self._require_unused(key, "choose another name")

    def _users_of(self, key: str) -> Sequence[str]:
        """Return the unfinished ImageJobs that name the image, with or without the release's id."""
        folders = self.jobs.bucket.folders
        complete = folders.inbox_key(key)
        short = INBOX_PREFIX + complete.removeprefix(folders.inbox)
        users_of = self.jobs.cache.users_of
        return sorted({*users_of(complete), *users_of(short)})

    def _batches_of(self, key: str) -> Sequence[str]:
        """Return the unfinished ImageBatches whose folder has the image, or whose list it is."""
        return self.batches.users_of(key, self.jobs.bucket.folders)

    def _require_unused(self, key: str, alternative: str) -> None:
        all_jobs, all_batches = self._users_of(key), self._batches_of(key)
        if not all_jobs and not all_batches:
            return

        jobs = _visible(all_jobs, self.jobs.cache.owner_of)
        batches = _visible(all_batches, self.batches.owner_of)
        users = [
            f"unfinished {kind}: {_listed(names)}"
            for kind, names in (("ImageJobs", jobs), ("ImageBatches", batches))
            if names
        ]
        detail = (
            f"{key} is in use by {' and '.join(users) or 'unfinished work of others'}. "
            f"Wait until they finish, cancel them, or {alternative}."
        )
        extensions: dict[str, Any] = {"imagejobs": jobs[:MAX_LISTED_JOBS]}
        if batches:
            extensions["imagebatches"] = batches[:MAX_LISTED_JOBS]
        raise Problem(409, "ObjectInUse", detail, **extensions)


def _visible(names: Sequence[str], owner_of: Callable[[str], str]) -> Sequence[str]:
    """Return the names of the objects of which the client may know."""
    owner = visible_owner()
    return names if owner is None else [name for name in names if owner_of(name) == owner]


def _listed(names: Sequence[str]) -> str:
    more = " and others" if len(names) > MAX_LISTED_JOBS else ""
    return ", ".join(names[:MAX_LISTED_JOBS]) + more


def _stored(image: ImageRef) -> StoredObject:
    """Return the metadata of an image that was just stored, as the bucket would report it."""
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
            f"The inbox accepts no options, but the upload has some: {names}. "
            "Set them in the ImageJob's spec, or use /submit."
        )
        raise Problem(422, Reason.OPTIONS_INVALID, detail)


def _not_found(key: str) -> Problem:
    detail = f"{key} does not exist; it may have expired. GET /inbox lists the existing objects."
    return Problem(404, "ObjectNotFound", detail)


@asynccontextmanager
async def _time_limit() -> AsyncIterator[None]:
    """Limit the total duration of the block's requests to the bucket."""
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            yield
    except TimeoutError as error:
        raise silence(error) from error
