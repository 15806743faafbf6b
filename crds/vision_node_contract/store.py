"""The bucket, without blocking the event loop: MinIO's client in a bounded number of threads."""

import asyncio
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Self, TypeVar

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

T = TypeVar("T")

THREADS = 8
"""Transfers at once: more would only queue inside MinIO on a small node."""

CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0
"""Without an answer for so long, the bucket is unavailable to us."""

_RETRIES = urllib3.Retry(
    total=2, connect=2, read=0, redirect=0, status=0, backoff_factor=0.1, backoff_jitter=0.1
)
"""The one layer that retries storage: only connections that never came about, so nothing is done twice."""


class ObjectNotFoundError(Exception):
    """No object has that key."""


class StoreUnavailableError(Exception):
    """The bucket can't be reached or refuses us; the message has no credentials."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the bucket is and who we are there."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    secure: bool
    region: str = "us-east-1"
    """Given, so that the client need not ask the server where its bucket lives."""

    @classmethod
    def from_env(cls) -> Self:
        """Read S3_ENDPOINT (host:port), S3_BUCKET, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY, S3_SECURE."""
        return cls(
            endpoint=os.environ["S3_ENDPOINT"],
            bucket=os.environ["S3_BUCKET"],
            access_key=os.environ["S3_ACCESS_KEY"],
            secret_key=os.environ["S3_SECRET_KEY"],
            secure=os.environ.get("S3_SECURE", "false") == "true",
            region=os.environ.get("S3_REGION") or "us-east-1",
        )

    def __repr__(self) -> str:
        # A settings object ends up in logs sooner or later.
        return f"StoreSettings({self.endpoint}/{self.bucket})"


class Store:
    """Objects of one bucket."""

    def __init__(self, settings: StoreSettings) -> None:
        self._bucket = settings.bucket
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._minio = Minio(
            endpoint=settings.endpoint,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            secure=settings.secure,
            region=settings.region,
            http_client=urllib3.PoolManager(
                maxsize=THREADS,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=_RETRIES,
            ),
        )

    async def put(self, key: str, data: bytes, media_type: str) -> None:
        """Store `data` under `key`; on return it is durable.

        Raises:
            StoreUnavailableError: nothing may have been stored.
        """
        await self._run(
            lambda: self._minio.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=io.BytesIO(data),
                length=len(data),
                content_type=media_type,
            )
        )

    async def get(self, key: str, most: int) -> bytes:
        """Return the object's bytes; at most `most` + 1 of them are read, so the caller sees an excess.

        Raises:
            ObjectNotFoundError: no such key.
            StoreUnavailableError: no answer.
        """
        return await self._run(lambda: self._read(key, most + 1))

    async def delete(self, key: str) -> None:
        """Remove the object, if it is there.

        Raises:
            StoreUnavailableError: no answer.
        """
        await self._run(lambda: self._minio.remove_object(bucket_name=self._bucket, object_name=key))

    async def list_older(self, prefix: str, than: datetime) -> list[str]:
        """Return the keys under `prefix` whose objects were last written before `than` (UTC).

        Raises:
            StoreUnavailableError: no answer.
        """
        return await self._run(lambda: self._list_older(prefix, than))

    async def check(self) -> None:
        """Return if the bucket answers.

        Raises:
            StoreUnavailableError: it does not, or it does not exist.
        """
        if not await self._run(lambda: self._minio.bucket_exists(bucket_name=self._bucket)):
            raise StoreUnavailableError(f"bucket {self._bucket} does not exist")

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _list_older(self, prefix: str, than: datetime) -> list[str]:
        found = self._minio.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True)
        return [o.object_name for o in found if o.object_name and o.last_modified and o.last_modified < than]

    def _read(self, key: str, most: int) -> bytes:
        response = self._minio.get_object(bucket_name=self._bucket, object_name=key)
        try:
            return response.read(most)
        finally:
            response.close()
            response.release_conn()

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except S3Error as error:
            if error.code in {"NoSuchKey", "NoSuchObject"}:
                raise ObjectNotFoundError(error.message) from error
            raise StoreUnavailableError(f"{error.code}: {error.message}") from error
        except (MinioException, HTTPError, OSError) as error:
            raise StoreUnavailableError(f"storage did not answer well: {type(error).__name__}") from error
        except ValueError as error:  # the client refuses such a key, so nothing can be stored under it
            raise ObjectNotFoundError(str(error)) from error
