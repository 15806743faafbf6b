"""Tests of deleting many objects with the bucket client."""

import asyncio
import hashlib
import logging
from base64 import b64encode

import pytest
from aiohttp import web
from fakes.s3 import S3, serving_s3
from vision_node_contract.clients import object_deleter
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError, Undeleted
from vision_node_contract.clients.bulk_deletion import (
    MAX_MESSAGE_CHARACTERS,
    read_refused,
    write_keys,
)
from vision_node_contract.clients.object_deleter import INLINE_BYTES, SINGLE_DELETIONS
from vision_node_contract.models.reasons import Reason

LOCKED = "AccessDenied: It is locked."

ODD = [
    "images/a b",
    "images/<&>\"'",
    "images/ä+%2F",
    "images/]]>",
    "images/\U0001f5bc",
    "images/b//c",
]
"""Keys that a request for several objects can name."""

UNNAMEABLE = ["images/\r", "images/\n", "images/\x01", "images/\x85", "images/\uffff", "images/a "]
"""Keys that XML can't contain, or that a parser may change."""


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


def put(s3: S3, *keys: str) -> None:
    for key in keys:
        s3.put(key)


async def test_objects_are_deleted_with_one_request(s3: S3, bucket: Bucket) -> None:
    put(s3, "images/1", "images/2", "images/kept")
    assert await bucket.delete_many(["images/1", "images/missing", "images/2"]) == []
    assert s3.objects.keys() == {"images/kept"}
    assert s3.requests == ["POST /bucket"]


async def test_request_is_signed_and_has_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[web.Request] = []
    answer = S3.answer

    async def record(self: S3, request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await answer(self, request)

    monkeypatch.setattr(S3, "answer", record)
    async with serving_s3() as (_, settings), Bucket.open(settings) as bucket:
        await bucket.delete_many(["images/1", "images/2"])

    (request,) = seen
    body = write_keys(["images/1", "images/2"])
    assert dict(request.query) == {"delete": ""}
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    assert request.headers["Content-MD5"] == b64encode(md5).decode()
    assert "x-amz-content-sha256" in request.headers["Authorization"]


async def test_objects_that_could_not_be_deleted_are_returned(s3: S3, bucket: Bucket) -> None:
    put(s3, "images/1", "images/2", "images/3")
    s3.undeletable = {"images/2", "images/3"}
    undeleted = await bucket.delete_many(["images/1", "images/2", "images/3"])
    assert undeleted == [Undeleted("images/2", LOCKED), Undeleted("images/3", LOCKED)]
    assert s3.objects.keys() == s3.undeletable
    assert bucket.failures[Reason.STORAGE_DENIED, "AccessDenied"] == 2


async def test_requests_have_a_thousand_keys_and_no_key_twice(s3: S3, bucket: Bucket) -> None:
    keys = [f"images/{number:04}" for number in range(2001)]
    put(s3, *keys)
    assert await bucket.delete_many(keys + keys) == []
    assert not s3.objects
    assert [len(it) for it in s3.deletions] == [1000, 1000, 1]


async def test_nothing_is_requested_without_keys(s3: S3, bucket: Bucket) -> None:
    assert await bucket.delete_many([]) == []
    assert s3.requests == []


async def test_one_object_is_deleted_with_a_plain_request(s3: S3, bucket: Bucket) -> None:
    put(s3, "images/1", "images/2")
    s3.undeletable = {"images/2"}
    assert await bucket.delete_many(["images/1", "images/1"]) == []
    (undeleted,) = await bucket.delete_many(["images/2"])
    assert (undeleted.key, "AccessDenied" in undeleted.reason) == ("images/2", True)
    assert s3.requests == ["DELETE /bucket/images/1", "DELETE /bucket/images/2"]


async def test_odd_keys_are_deleted_together(s3: S3, bucket: Bucket) -> None:
    put(s3, *ODD)
    assert await bucket.delete_many(ODD) == []
    assert not s3.objects
    assert s3.deletions == [ODD]


async def test_keys_that_xml_cannot_contain_are_deleted_singly(s3: S3, bucket: Bucket) -> None:
    put(s3, *UNNAMEABLE, "images/1", "images/2", "images/a")
    assert await bucket.delete_many([*UNNAMEABLE, "images/1", "images/2"]) == []
    assert s3.objects.keys() == {"images/a"}
    assert s3.deletions[-1] == ["images/1", "images/2"]
    assert sorted(map(len, s3.deletions)) == [1] * len(UNNAMEABLE) + [2]


@pytest.mark.parametrize("key", ["images/../1", "images/\ud800", ""])
async def test_invalid_key_does_not_keep_others(s3: S3, bucket: Bucket, key: str) -> None:
    put(s3, "images/1", "images/\n")
    s3.refuses_bulk = (501, "NotImplemented")
    undeleted = await bucket.delete_many([key, "images/1", "images/\n"])
    assert [it.key for it in undeleted] == [key]
    assert not s3.objects


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (501, "NotImplemented"),
        (405, "MethodNotAllowed"),
        (400, "MalformedXML"),
        (400, "InvalidRequest"),
        (404, "NoSuchKey"),
        (405, "<"),
    ],
)
async def test_service_that_knows_no_bulk_deletion_is_asked_once(
    s3: S3, bucket: Bucket, caplog: pytest.LogCaptureFixture, status: int, code: str
) -> None:
    keys = [f"images/{number}" for number in range(20)]
    put(s3, *keys)
    s3.refuses_bulk, s3.undeletable = (status, code), {"images/7"}

    with caplog.at_level(logging.INFO):
        assert [it.key for it in await bucket.delete_many(keys)] == ["images/7"]
        assert [it.key for it in await bucket.delete_many(keys)] == ["images/7"]

    assert s3.objects.keys() == {"images/7"}
    assert (s3.requests.count("POST /bucket"), len(s3.requests)) == (1, 41)
    assert caplog.text.count("deleted one by one") == 1
    assert {key.code for key, count in bucket.failures.items() if count} == {"AccessDenied"}


async def test_single_deletions_at_the_same_time_are_limited(
    s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = most = 0

    async def delete(*_: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    s3.refuses_bulk = (501, "NotImplemented")
    monkeypatch.setattr(object_deleter.ObjectDeleter, "delete", delete)
    assert await bucket.delete_many([f"images/{number}" for number in range(100)]) == []
    assert most == SINGLE_DELETIONS


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (503, "SlowDown"), (400, "BadDigest")]
)
async def test_refusal_of_the_whole_request_raises_an_error(
    s3: S3, bucket: Bucket, status: int, code: str
) -> None:
    put(s3, "images/1", "images/2")
    s3.refuses_bulk = (status, code)
    with pytest.raises(StoreUnavailableError, match=code):
        await bucket.delete_many(["images/1", "images/2"])
    assert s3.requests == ["POST /bucket"]

    s3.refuses_bulk = None
    assert await bucket.delete_many(["images/1", "images/2"]) == []
    assert not s3.objects


@pytest.mark.parametrize("closings", [1, 2])
async def test_request_is_repeated_once_if_the_connection_was_closed(
    monkeypatch: pytest.MonkeyPatch, closings: int
) -> None:
    """The library aiohttp repeats GET, PUT and DELETE, but no POST."""
    answer, left = S3.answer, [closings]

    async def close_first(self: S3, request: web.Request) -> web.StreamResponse:
        if left[0]:
            left[0] -= 1
            assert request.transport
            request.transport.abort()
        return await answer(self, request)

    monkeypatch.setattr(S3, "answer", close_first)
    async with serving_s3() as (s3, settings), Bucket.open(settings) as bucket:
        put(s3, "images/1", "images/2")
        if closings == 1:
            assert await bucket.delete_many(["images/1", "images/2"]) == []
            assert not s3.objects
        else:
            with pytest.raises(StoreUnavailableError):
                await bucket.delete_many(["images/1", "images/2"])


def result(*errors: str) -> str:
    return f"<DeleteResult>{''.join(f'<Error>{it}</Error>' for it in errors)}</DeleteResult>"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "<html></html>",
        "<Error><Code>InternalError</Code></Error>",
        result("<Key>images/other</Key><Code>AccessDenied</Code>"),
        result("<Code>AccessDenied</Code>"),
        result("<Key>images/1</Key>")[:-3],
    ],
)
async def test_invalid_response_raises_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: S3, request: web.Request) -> web.Response:
        return web.Response(text=text)

    monkeypatch.setattr(S3, "answer", answer)
    async with serving_s3() as (_, settings), Bucket.open(settings) as bucket:
        with pytest.raises(StoreUnavailableError, match="no usable response"):
            await bucket.delete_many(["images/1", "images/2"])


async def test_long_response_names_all_objects(s3: S3, bucket: Bucket) -> None:
    s3.undeletable = {f"images/{'x' * 500}{number:03}" for number in range(1000)}
    put(s3, *s3.undeletable)
    assert len(s3.undeletable) * 500 > INLINE_BYTES
    undeleted = await bucket.delete_many(sorted(s3.undeletable))
    assert [it.key for it in undeleted] == sorted(s3.undeletable)


def test_message_is_short_and_printable() -> None:
    error = f"<Key>a</Key><Code>\u202e</Code><Message>b\u202e\n c{'d' * 1000}</Message>"
    (refused,) = read_refused(result(error).encode(), ["a"])
    assert (refused.code, refused.message[:5]) == ("other", "b cdd")
    assert len(refused.message) == MAX_MESSAGE_CHARACTERS


def test_objects_that_were_deleted_or_are_missing_are_not_refused() -> None:
    missing = "<Error><Key>a</Key><Code>NoSuchKey</Code></Error>"
    deleted = "<Deleted><Key>b</Key></Deleted>"
    body = f"<DeleteResult>{missing}{deleted}</DeleteResult>".encode()
    assert read_refused(body, ["a", "b"]) == []
