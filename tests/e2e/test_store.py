"""Tests that the bundled store refuses forged requests.

The last version of MinIO with public source code accepts these requests from anyone.
"""

import base64
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import httpx
import pytest
from conftest import NAMESPACE, Forwarded, Kubectl

KEY = "images/forged"
# This signature is well formed, but no secret key produces it.
SIGNATURE = "0" * 64


@pytest.fixture(scope="module")
def store(forwarded: Forwarded) -> Iterator[httpx.Client]:
    """Yield an HTTP client that has the same access to the store as any pod in the cluster."""
    with forwarded(NAMESPACE, "vision-node-minio", "9000") as client:
        yield client


@pytest.fixture(params=["api", "operator", "archiver", "describer", "root"])
def user(kubectl: Kubectl, request: pytest.FixtureRequest) -> str:
    """Return the access key of a user of the store."""
    path = f"jsonpath={{.data.{request.param}-access-key}}"
    return base64.b64decode(kubectl("get", "secret", "vision-node-storage", "-o", path)).decode()


def test_unsigned_upload_with_a_users_access_key_is_refused(store: httpx.Client, user: str) -> None:
    """Test for CVE-2026-41145: the query contains credentials, but the chunks are not signed."""
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{user}/{scope()}",
        "X-Amz-Date": now(),
        "X-Amz-Expires": "900",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": SIGNATURE,
    }

    answer = store.put(
        f"/vision-node/{KEY}", params=query, headers=unsigned(6), content=chunked(b"forged")
    )
    assert "NotImplemented" in answer.text
    assert answer.status_code == 501


def test_unsigned_archive_with_a_users_access_key_is_refused(
    store: httpx.Client, user: str
) -> None:
    """Test for CVE-2026-40344: MinIO unpacks archives without checking the signature."""
    data = archive(KEY, b"forged")
    headers = {
        **unsigned(len(data)),
        "Authorization": f"AWS4-HMAC-SHA256 Credential={user}/{scope()}, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={SIGNATURE}",
        "X-Amz-Meta-Snowball-Auto-Extract": "true",
    }

    answer = store.put("/vision-node/images/forged.tar", headers=headers, content=data)
    assert "NotImplemented" in answer.text
    assert answer.status_code == 501


def unsigned(length: int) -> Mapping[str, str]:
    """Return the headers of an upload in unsigned chunks (AWS Signature Version 4)."""
    return {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-date": now(),
        "x-amz-decoded-content-length": str(length),
        "x-amz-trailer": "x-amz-checksum-crc32",
        "Content-Encoding": "aws-chunked",
    }


def chunked(data: bytes) -> bytes:
    checksum = base64.b64encode(zlib.crc32(data).to_bytes(4, "big"))
    return b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % (len(data), data, checksum)


def archive(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))

    return packed.getvalue()


def now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def scope() -> str:
    return f"{now()[:8]}/us-east-1/s3/aws4_request"
