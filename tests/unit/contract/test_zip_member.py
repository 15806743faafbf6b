"""Tests of taking images out of zip files, of which some are hostile."""

import asyncio
import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from typing import Any

import pytest
from vision_node_contract.batch_objects import ZipMember
from vision_node_contract.zip_member import (
    HEADER_BYTES,
    MAX_OVERHEAD_BYTES,
    PIECE_BYTES,
    MemberDamagedError,
    unpack,
)

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]
MIB = 1 << 20


def member_of(data: bytes, method: int, name: str = "a.jpg", extra: bytes = b"") -> Any:
    """Return the bytes of a member of a zip file that Python has written, and its description."""
    file, info = io.BytesIO(), zipfile.ZipInfo(name)
    info.compress_type, info.extra = method, extra
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, data)
    header = file.getvalue()[info.header_offset :]
    length = HEADER_BYTES + sum(struct.unpack("<HH", header[26:30])) + info.compress_size
    stated = ZipMember.model_validate(
        {"method": method, "compressedSize": info.compress_size, "crc32": info.CRC}
    )
    return header[:length], stated


def changed(member: ZipMember, **changes: Any) -> ZipMember:
    return member.model_copy(update=changes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, 5 * PIECE_BYTES + 1])
@pytest.mark.parametrize("kind", ["random", "zeros"])
async def test_image_is_unpacked(method: int, size: int, kind: str) -> None:
    image = os.urandom(size) if kind == "random" else bytes(size)
    data, member = member_of(image, method, "folder/é.jpg", b"\xca\xfe\x04\x00abcd")
    assert await unpack(data, member, size) == image


async def test_more_data_than_the_member_has_may_follow() -> None:
    """The list may state a few bytes too many, because only the header has its own length."""
    data, member = member_of(b"image", zipfile.ZIP_DEFLATED)
    assert await unpack(data + b"PK\x03\x04 the next member", member, 5) == b"image"


@pytest.mark.parametrize("method", METHODS)
async def test_longest_header_fits_into_the_allowed_overhead(method: int) -> None:
    extra = struct.pack("<HH", 0xCAFE, 0xFFFF - 4) + bytes(0xFFFF - 4)
    image = os.urandom(20 * MIB)
    data, member = member_of(image, method, "n" * 0xFFFF, extra)
    assert len(data) <= len(image) + MAX_OVERHEAD_BYTES
    assert await unpack(data, member, len(image)) == image


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 999}, "more than the stated 999 bytes"),
        ({"size": 1001}, "1000 instead of 1001 bytes"),
        ({"crc32": 1}, "CRC-32 differs"),
        ({"cut": -1}, "end too early"),
        ({"cut": HEADER_BYTES + 5}, "end too early"),
        ({"cut": HEADER_BYTES - 1}, "local file header"),
        ({"cut": 0}, "local file header"),
        ({"start": 1}, "local file header"),
        ({"compressed_size": 10**12}, "end too early"),
    ],
)
async def test_member_that_is_not_as_stated_is_damaged(
    method: int, change: dict[str, int], words: str
) -> None:
    data, member = member_of(bytes(range(250)) * 4, method)
    data = data[change.get("start", 0) : change.get("cut", len(data))]
    stated = {name: it for name, it in change.items() if name in {"crc32", "compressed_size"}}
    with pytest.raises(MemberDamagedError, match=words):
        await unpack(data, changed(member, **stated), change.get("size", 1000))


@pytest.mark.parametrize("compressed_size", [0, 5])
async def test_deflated_data_that_do_not_end_are_damaged(compressed_size: int) -> None:
    data, member = member_of(b"image" * 100, zipfile.ZIP_DEFLATED)
    with pytest.raises(MemberDamagedError, match="end too early"):
        await unpack(data, changed(member, compressed_size=compressed_size), 500)


async def test_data_that_are_not_deflated_are_damaged() -> None:
    data, member = member_of(b"\xff" * 500, zipfile.ZIP_STORED)
    with pytest.raises(MemberDamagedError, match="can't be inflated"):
        await unpack(data, changed(member, method=8), 500)


async def test_zip_bomb_takes_no_more_memory_than_stated() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = b"".join(bomb.compress(bytes(MIB)) for _ in range(256)) + bomb.flush()
    data = b"PK\x03\x04".ljust(HEADER_BYTES, b"\0") + deflated
    member = ZipMember(method=8, compressed_size=len(deflated), crc32=0)
    tracemalloc.start()
    with pytest.raises(MemberDamagedError, match="more than the stated"):
        await unpack(data, member, MIB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 3 * MIB


@pytest.mark.parametrize("method", METHODS)
async def test_two_copies_are_in_memory_at_most(method: int) -> None:
    """The worker reserves memory for two."""
    image = os.urandom(8 * MIB)
    whole, member = member_of(image, method)
    crc = zlib.crc32(image)
    del image

    async def fetch() -> bytes:
        return bytes(bytearray(whole))

    tracemalloc.start()
    unpacked = await unpack(await fetch(), member, 8 * MIB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert zlib.crc32(unpacked) == crc
    assert peak < 18 * MIB


async def test_other_tasks_run_while_a_large_image_is_unpacked() -> None:
    image = bytes(40 * PIECE_BYTES)
    data, member = member_of(image, zipfile.ZIP_DEFLATED)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    await unpack(data, member, len(image))
    other.cancel()
    assert turns >= 40
