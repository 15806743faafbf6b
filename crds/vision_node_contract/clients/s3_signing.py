"""Sign requests to the bucket (AWS Signature Version 4) with MinIO's own functions.

MinIO's client is not used to send the requests, because it is blocking: each image would cost a
thread switch and half a millisecond of CPU time.
"""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import SplitResult, urlunsplit

from minio import time
from minio.credentials.credentials import Credentials
from minio.helpers import BaseURL, DictType, check_object_name
from minio.signer import sign_v4_s3
from yarl import URL

NO_BODY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

SignedRequest = tuple[URL, dict[str, str]]
"""The URL and the headers of a signed request."""


class Signer:
    """Signs requests for a bucket and its objects."""

    def __init__(self, url: str, region: str, bucket: str) -> None:
        self._urls = BaseURL(url, region)
        self._region = region
        self._bucket = bucket

    def sign(
        self,
        method: str,
        key: str,
        sha256: str = NO_BODY_SHA256,
        metadata: Mapping[str, str] = _NO_HEADERS,
        *,
        query: DictType | None = None,
        keys: Credentials,
    ) -> SignedRequest:
        """Return the URL and the headers of a request for an object.

        Args:
            method: The HTTP method.
            key: The object's key.
            sha256: Digest of the request's body, in hexadecimal.
            metadata: Headers that begin with x-amz-. S3 requires all of them to be signed.
            query: Parameters of the URL's query.
            keys: The credentials to sign with.

        Raises:
            ValueError: the key is invalid, so no object can have it.
        """
        check_object_name(key)
        url = self._urls.build(
            method=method,
            region=self._region,
            bucket_name=self._bucket,
            object_name=key,
            query_params=query,
        )

        return self._signed(keys, method, url, sha256, metadata)

    def sign_bucket(
        self, method: str, query: DictType | None = None, *, keys: Credentials
    ) -> SignedRequest:
        """Return the URL and the headers of a request to the bucket itself, without a body."""
        url = self._urls.build(
            method=method, region=self._region, bucket_name=self._bucket, query_params=query
        )
        return self._signed(keys, method, url, NO_BODY_SHA256)

    def _signed(
        self,
        keys: Credentials,
        method: str,
        url: SplitResult,
        sha256: str,
        metadata: Mapping[str, str] = _NO_HEADERS,
    ) -> SignedRequest:
        now = time.utcnow()
        to_sign: DictType = {
            "Host": url.netloc,
            "x-amz-content-sha256": sha256,
            "x-amz-date": time.to_amz_date(now),
            **metadata,
        }
        if keys.session_token:
            to_sign["x-amz-security-token"] = keys.session_token

        signed = sign_v4_s3(
            method=method,
            url=url,
            region=self._region,
            headers=to_sign,
            credentials=keys,
            content_sha256=sha256,
            date=now,
        )

        headers = {name: str(value) for name, value in signed.items()}
        return URL(urlunsplit(url), encoded=True), headers
