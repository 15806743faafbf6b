"""Delete objects, up to a thousand with one request where the service supports that."""

import asyncio
import hashlib
import logging
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from xml.etree.ElementTree import ParseError

from .bucket_errors import (
    NOT_IMPLEMENTED,
    InvalidKeyError,
    ObjectNotFoundError,
    StoreUnavailableError,
    reason_for,
    silence,
)
from .bucket_objects import LIST_BYTES
from .bucket_requests import BucketRequests
from .bulk_deletion import MAX_DELETIONS, RefusedKey, may_be_in_xml, read_refused, write_keys
from .s3_signing import Signer

log = logging.getLogger(__name__)

SINGLE_DELETIONS = 4
"""Maximum number of single deletions at the same time, if a service has no DeleteObjects. They run
beside the uploads and downloads of a small bucket, and four of them delete some hundred objects per
second."""

INLINE_BYTES = 1 << 14
"""Maximum size of a response that is parsed without a thread. It names some fifty objects that
could not be deleted, which takes less than a millisecond. Most responses name none."""

UNSUPPORTED = frozenset(
    {
        NOT_IMPLEMENTED,
        "MethodNotAllowed",
        "MalformedXML",
        "InvalidRequest",
        "MalformedPOSTRequest",
        "400",
        "405",
        "501",
    }
)
"""Error codes, and statuses without a code, of services that don't know DeleteObjects. Some take
it for the upload of a browser's form (MalformedPOSTRequest). Our requests are valid, so these codes
have no other cause that asking again would change."""


@dataclass(frozen=True, slots=True)
class Undeleted:
    """An object that could not be deleted."""

    key: str
    reason: str
    """Why, for a log: the bucket's error code and message, or why there was no response."""


class ObjectDeleter:
    """Deletes objects.

    Args:
        requests: Sends the requests, and counts the failures.
        signer: Signs them.
        threads: Where long responses are parsed.
    """

    def __init__(self, requests: BucketRequests, signer: Signer, threads: Executor) -> None:
        self._requests = requests
        self._signer = signer
        self._threads = threads
        self._is_bulk_supported = True

    async def delete(self, key: str) -> None:
        """Delete the object if it exists.

        Raises:
            ObjectNotFoundError: the key is invalid, or the service reports missing objects.
            StoreUnavailableError: the bucket did not respond or refused the request.
        """
        await self._requests.send("DELETE", partial(self._signer.sign, "DELETE", key))

    async def delete_many(self, keys: Sequence[str]) -> list[Undeleted]:
        """Delete the objects that exist; return those that could not be deleted.

        `Bucket.delete_many` says when a request deletes several objects.

        Raises:
            StoreUnavailableError: a request for several objects failed as a whole.
        """
        together: list[str] = []
        alone: list[str] = []
        for key in dict.fromkeys(keys):
            (together if may_be_in_xml(key) else alone).append(key)

        undeleted = await self._delete_singly(alone)
        for start in range(0, len(together), MAX_DELETIONS):
            undeleted += await self._delete_together(together[start : start + MAX_DELETIONS])

        return undeleted

    async def _delete_together(self, keys: list[str]) -> list[Undeleted]:
        """Delete up to MAX_DELETIONS objects with one request if the service supports that."""
        if len(keys) > 1 and self._is_bulk_supported:
            response = await self._send_keys(keys)
            if response is not None:
                return [self._record(it) for it in await self._parse(response, keys)]

        return await self._delete_singly(keys)

    async def _send_keys(self, keys: list[str]) -> bytes | None:
        """Return the response; None if the service does not support DeleteObjects."""
        body = write_keys(keys)
        # Amazon S3 and MinIO require a checksum besides the signed SHA-256.
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"Content-Type": "application/xml", "Content-MD5": md5}
        digest = hashlib.sha256(body).hexdigest()
        sign = partial(self._signer.sign_bucket, "POST", {"delete": ""}, digest)

        with self._requests.failures.recording():
            try:
                response = await self._requests.exchange(
                    "POST",
                    sign,
                    data=body,
                    headers=headers,
                    max_bytes=LIST_BYTES,
                    may_repeat=True,
                )
            except (StoreUnavailableError, ObjectNotFoundError) as error:
                if isinstance(error, StoreUnavailableError) and error.code not in UNSUPPORTED:
                    raise
                self._give_up_bulk(error)
                return None

        return response.body

    def _give_up_bulk(self, error: Exception) -> None:
        if self._is_bulk_supported:
            log.info("storage has no DeleteObjects, so objects are deleted one by one: %s", error)
        self._is_bulk_supported = False

    async def _parse(self, body: bytes, keys: list[str]) -> list[RefusedKey]:
        with self._requests.failures.recording():
            try:
                if len(body) <= INLINE_BYTES:
                    return read_refused(body, keys)

                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, read_refused, body, keys)
            except (ParseError, ValueError) as error:
                raise silence(error) from error

    def _record(self, refused: RefusedKey) -> Undeleted:
        """Count and log the refusal like that of a single deletion."""
        reason = f"{refused.code}: {refused.message}"
        self._requests.failures.record(
            StoreUnavailableError(reason, reason_for(refused.code), refused.code)
        )
        return Undeleted(refused.key, reason)

    async def _delete_singly(self, keys: list[str]) -> list[Undeleted]:
        rest, undeleted = iter(keys), list[Undeleted]()

        async def delete_some() -> None:
            for key in rest:
                try:
                    await self.delete(key)
                except (StoreUnavailableError, InvalidKeyError) as error:
                    undeleted.append(Undeleted(key, str(error)))
                except ObjectNotFoundError:
                    continue  # some services answer so instead of 204

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(SINGLE_DELETIONS, len(keys))):
                tasks.create_task(delete_some())

        return undeleted
