"""Zip files of images: storing them, and listing their members by the central directory."""

import io
import zipfile
import zlib
from collections.abc import AsyncIterator

import pytest
from fakes.s3 import S3
from vision_node_api.services.batches import zip_upload
from vision_node_api.services.batches.zip_upload import (
    MemberPage,
    ZipLimits,
    list_members,
    store_zip,
)
from vision_node_api.uploads.bulk import zip_end
from vision_node_api.web.problems import Problem
from vision_node_contract.batch_uploads import UploadedImage
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from zip_bytes import MAX_32, SYMLINK_MODE, UTF_8, Member, ZipFile, zip64_extra

KEY = "batches/id/uid/u/a/zip"
LIMITS = ZipLimits(members=100_000, image_bytes=10_000)
PNG = b"\x89PNG" + bytes(range(256)) * 4


async def chunks(data: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    """Yield the data as a request's body arrives."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def list_zip(
    behind: tuple[S3, Bucket], data: bytes, limits: ZipLimits = LIMITS
) -> MemberPage:
    """Store a zip file, and return all of its pages as one."""
    _, bucket = behind
    size = await store_zip(bucket, chunks(data), KEY)
    assert size == len(data)

    whole = MemberPage()
    async for page in list_members(bucket, KEY, size, limits):
        whole.images += page.images
        whole.refusals += page.refusals
        whole.skipped += page.skipped

    return whole


async def refusal_of(behind: tuple[S3, Bucket], member: Member) -> tuple[str, str]:
    """Return the reason and the message for which a member is refused, next to a good one."""
    found = await list_zip(behind, ZipFile([Member(b"good.png"), member]).to_bytes())
    assert [it.custom_id for it in found.images] == ["good.png"]
    (refusal,) = found.refusals
    return refusal.reason, refusal.message


async def problem_of(behind: tuple[S3, Bucket], data: bytes, limits: ZipLimits = LIMITS) -> Problem:
    """Return the problem for which a zip file is refused."""
    with pytest.raises(Problem) as found:
        await list_zip(behind, data, limits)
    return found.value


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file as Python makes it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def streamed(files: dict[str, bytes]) -> bytes:
    """Return a zip file with data descriptors, as programs make it that write to a pipe."""
    target = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            return target.write(data)

    with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def extract(data: bytes, image: UploadedImage) -> bytes:
    """Return the image, read like a worker does."""
    part = data[image.offset : image.offset + image.length]
    assert part.startswith(b"PK\3\4")
    start = 30 + int.from_bytes(part[26:28], "little") + int.from_bytes(part[28:30], "little")
    assert image.zip is not None
    packed = part[start : start + image.zip.compressed_size]
    assert len(packed) == image.zip.compressed_size

    found = zlib.decompress(packed, wbits=-15) if image.zip.method else packed
    assert (len(found), zlib.crc32(found)) == (image.size, image.zip.crc32)
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_members_are_images_that_can_be_read_by_range(
    behind: tuple[S3, Bucket], method: int
) -> None:
    files = {"a.png": PNG, "holiday/b.JPG": PNG * 2, "no-extension": b"x", "Füße/雪.webp": PNG * 3}
    data = zipped(files, method)
    found = await list_zip(behind, data)

    assert {it.custom_id: extract(data, it) for it in found.images} == files
    assert {it.object for it in found.images} == {"zip"}
    assert (found.refusals, found.skipped) == ([], 0)
    assert behind[0].objects[KEY].media_type == "application/zip"


async def test_members_with_data_descriptors_can_be_read(behind: tuple[S3, Bucket]) -> None:
    files = {"a.png": PNG, "b.png": PNG * 2}
    data = streamed(files)
    found = await list_zip(behind, data)
    assert {it.custom_id: extract(data, it) for it in found.images} == files


async def test_members_are_not_read(behind: tuple[S3, Bucket]) -> None:
    """The end of the file and its central directory are enough."""
    s3, bucket = behind
    data = zipped({f"{number}.png": bytes(10_000) for number in range(50)}, zipfile.ZIP_STORED)
    await store_zip(bucket, chunks(data, 1 << 16), KEY)
    s3.requests.clear()
    _ = [page async for page in list_members(bucket, KEY, len(data), LIMITS)]
    assert s3.requests == [f"HEAD /bucket/{KEY}"] + 3 * [f"GET /bucket/{KEY}"]


async def test_hidden_files_are_counted_and_folders_are_not(behind: tuple[S3, Bucket]) -> None:
    files = {
        "a/": b"",
        "a/b.png": PNG,
        ".DS_Store": b"x",
        "__MACOSX/._b.png": b"x",
        "a/.cache/c.png": PNG,
    }
    found = await list_zip(behind, zipped(files))
    assert [it.custom_id for it in found.images] == ["a/b.png"]
    assert (found.refusals, found.skipped) == ([], 3)


@pytest.mark.parametrize(
    ("name", "flags", "custom_id"),
    [
        ("é.png".encode("cp437"), 0, "é.png"),
        ("é.png".encode(), UTF_8, "é.png"),
        ("雪.png".encode(), 0, "雪.png"),
        (b"a\\b.png", 0, "a/b.png"),
        (b"./a.png", 0, "a.png"),
    ],
)
async def test_names_are_decoded(
    behind: tuple[S3, Bucket], name: bytes, flags: int, custom_id: str
) -> None:
    found = await list_zip(behind, ZipFile([Member(name, flags=flags)]).to_bytes())
    assert [it.custom_id for it in found.images] == [custom_id]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (Member(b"../a.png"), "NameInvalid"),
        (Member(b"/etc/a.png"), "NameInvalid"),
        (Member(b"..\\..\\a.png"), "NameInvalid"),
        (Member(b"C:\\a.png"), "NameInvalid"),
        (Member(b"a\0.png"), "NameInvalid"),
        (Member(b"\xff.png", flags=UTF_8), "NameInvalid"),
        (Member(b"x" * 513 + b".png"), "NameInvalid"),
        (Member(b""), "NameInvalid"),
        (Member(b"good.png"), "DuplicateCustomId"),
        (Member(b"./good.png"), "DuplicateCustomId"),
        (Member(b"link.png", mode=SYMLINK_MODE), "NotAFile"),
        (Member(b"device.png", mode=0o020666), "NotAFile"),
        (Member(b"a.png", flags=1), "Encrypted"),
        (Member(b"a.png", flags=0x41), "Encrypted"),
        (Member(b"a.zip"), "NestedArchive"),
        (Member(b"a.TAR.GZ"), "NestedArchive"),
        (Member(b"a.txt"), "UnsupportedFormat"),
        (Member(b"a.png.exe"), "UnsupportedFormat"),
        (Member(b"a.pdf"), "UnsupportedFormat"),
        (Member(b"a.png", method=12), "CompressionUnsupported"),
        (Member(b"a.png", method=93), "CompressionUnsupported"),
        (Member(b"a.png", data=b""), "EmptyFile"),
        (Member(b"a.png", data=bytes(10_001)), "ImageTooLarge"),
        (Member(b"a.png", method=8, size=10_001), "ImageTooLarge"),
        (Member(b"a.png", size=6), "MemberDamaged"),
        (Member(b"a.png", method=8, data=b"x", size=9_999), "MemberDamaged"),
        (Member(b"a.png", size=9_999, compressed_size=9_999), "MemberDamaged"),
        (Member(b"a.png", offset=1 << 20), "MemberDamaged"),
        (Member(b"a.png", offset=MAX_32), "MemberDamaged"),
        (Member(b"a.png", offset=MAX_32, extra=zip64_extra()), "MemberDamaged"),
        (Member(b"a.png", offset=MAX_32, extra=zip64_extra((1 << 64) - 1)), "MemberDamaged"),
        (Member(b"a.png", size=MAX_32, extra=zip64_extra(1 << 40)), "ImageTooLarge"),
    ],
)
async def test_member_that_is_no_acceptable_image_is_refused_alone(
    behind: tuple[S3, Bucket], member: Member, reason: str
) -> None:
    found_reason, message = await refusal_of(behind, member)
    assert found_reason == reason
    assert message[0].isupper()
    assert message.endswith(".")


async def test_mode_counts_only_where_the_system_has_modes(behind: tuple[S3, Bucket]) -> None:
    data = ZipFile([Member(b"a.png", system=0, mode=SYMLINK_MODE)]).to_bytes()
    assert len((await list_zip(behind, data)).images) == 1


async def test_bomb_of_overlapping_members_is_refused(behind: tuple[S3, Bucket]) -> None:
    """Each member contains all that follow, so that a small file has many large members."""
    kernel = Member(b"last.png", data=bytes(100))
    members = [Member(f"{number}.png".encode(), data=b"") for number in range(5)]
    header_bytes = 30 + len(b"0.png")
    for number, member in enumerate(members):
        rest = header_bytes * (len(members) - number - 1) + 30 + len(kernel.name) + 100
        member.size = member.compressed_size = rest

    found = await list_zip(behind, ZipFile([*members, kernel]).to_bytes())

    assert [it.custom_id for it in found.images] == ["last.png"]
    assert {it.reason for it in found.refusals} == {"MemberDamaged"}
    assert len(found.refusals) == len(members)


async def test_members_that_share_their_data_are_refused(behind: tuple[S3, Bucket]) -> None:
    members = [Member(b"a.png", data=bytes(1000)), Member(b"b.png")]
    members += [
        Member(f"{number}.png".encode(), b"", size=1000, compressed_size=1000, offset=0)
        for number in range(3)
    ]
    found = await list_zip(behind, ZipFile(members).to_bytes())

    assert [it.custom_id for it in found.images] == ["b.png"]
    assert [it.reason for it in found.refusals] == 4 * ["MemberDamaged"]


async def test_first_of_two_members_with_a_name_counts(behind: tuple[S3, Bucket]) -> None:
    data = ZipFile([Member(b"a.png", size=0), Member(b"a.png"), Member(b"a.png")]).to_bytes()
    found = await list_zip(behind, data)
    assert [it.reason for it in found.refusals] == ["EmptyFile", "DuplicateCustomId"]
    assert len(found.images) == 1


async def test_directory_in_another_order_than_the_members(
    behind: tuple[S3, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.uploads.bulk.member_offsets._RUN", 7)
    members = [Member(f"{number}.png".encode(), data=bytes(number + 1)) for number in range(100)]
    data = ZipFile(members).to_bytes()
    end = zip_end.find_directory(data, len(data))
    directory = data[end.offset : end.offset + end.size]
    entries = [b"PK\1\2" + it for it in directory.split(b"PK\1\2")[1:]]
    shuffled = b"".join(entries[(37 * number) % 100] for number in range(100))
    data = data[: end.offset] + shuffled + data[end.offset + end.size :]

    found = await list_zip(behind, data)

    assert found.refusals == []
    sizes = {it.custom_id: len(extract(data, it)) for it in found.images}
    assert sizes == {f"{number}.png": number + 1 for number in range(100)}


async def test_line_has_no_more_bytes_than_the_member_may_need(behind: tuple[S3, Bucket]) -> None:
    """A long gap after a member is not read."""
    members = [Member(b"a.png"), Member(b"gap", bytes(500_000)), Member(b"b.png")]
    data = ZipFile(members).to_bytes()
    end = zip_end.find_directory(data[-zip_end.TAIL_BYTES :], len(data))
    entries = data[end.offset : end.offset + end.size].split(b"PK\1\2")[1:]
    directory = b"PK\1\2" + entries[0] + b"PK\1\2" + entries[2]
    ends = {"disk_entries": 2, "entries": 2, "size": len(directory), "offset": end.offset}
    data = data[: end.offset] + directory + ZipFile([], end=ends).to_bytes()[-22:]

    first, last = (await list_zip(behind, data)).images
    assert first.length == 30 + 2 * 65_535 + 5
    assert last.length == 30 + 5 + 5


@pytest.mark.parametrize("zip64", [False, True])
async def test_zip64_records_are_read(behind: tuple[S3, Bucket], *, zip64: bool) -> None:
    extra = zip64_extra(5, 5, 0)
    member = Member(
        b"a.png", size=MAX_32, compressed_size=MAX_32, offset=MAX_32, extra=b"\7\0\1\0x" + extra
    )
    data = ZipFile([member, Member(b"b.png")], comment=b"comment", zip64=zip64).to_bytes()
    found = await list_zip(behind, data)
    assert [extract(data, it) for it in found.images] == [b"image", b"image"]


async def test_thousands_of_members_are_listed_in_their_order(behind: tuple[S3, Bucket]) -> None:
    data = ZipFile([Member(b"%d.png" % number) for number in range(3000)], zip64=True).to_bytes()
    found = await list_zip(behind, data)
    assert [it.custom_id for it in found.images] == [f"{number}.png" for number in range(3000)]


async def test_more_members_than_16_bits_count_without_zip64(behind: tuple[S3, Bucket]) -> None:
    members = [Member(b"%d.png" % number) for number in range(66_000)]
    data = ZipFile(members, end={"disk_entries": 464, "entries": 464}).to_bytes()
    assert len((await list_zip(behind, data)).images) == 66_000
    problem = await problem_of(behind, data, ZipLimits(65_999, 10_000))
    assert (problem.status, problem.reason) == (413, "TooManyImages")


async def test_entries_are_read_in_small_pieces(
    behind: tuple[S3, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry may be longer than a piece, and a piece may end anywhere in one."""
    monkeypatch.setattr(zip_upload, "BLOCK_BYTES", 101)
    monkeypatch.setattr(zip_upload, "SLICE_BYTES", 10)
    files = {f"{'x' * number}.png": PNG for number in range(1, 50)}
    data = zipped(files)
    found = await list_zip(behind, data)
    assert {it.custom_id: extract(data, it) for it in found.images} == files


@pytest.mark.parametrize(
    "comment",
    [
        b"a comment",
        b"PK\5\6",
        b"PK\5\6" + bytes(18),
        b"PK\5\6" + bytes(50),
        b"PK\5\6" * 1000,
        zipped({"fake.png": b"fake"})[-22:],
        b"x" * 65_535,
    ],
)
async def test_end_record_in_a_comment_is_ignored(
    behind: tuple[S3, Bucket], comment: bytes
) -> None:
    data = ZipFile([Member(b"a.png"), Member(b"b.png")], comment=comment).to_bytes()
    assert [it.custom_id for it in (await list_zip(behind, data)).images] == ["a.png", "b.png"]


async def test_truncated_zip_file_is_refused_wherever_it_ends(behind: tuple[S3, Bucket]) -> None:
    data = ZipFile([Member(b"a.png"), Member(b"b.png")], comment=b"comment").to_bytes()
    for size in range(len(data)):
        problem = await problem_of(behind, data[:size])
        assert (problem.status, problem.reason) == (400, "UploadBroken")


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        ({"disk": 1}, 415, "ArchiveUnsupported"),
        ({"directory_disk": 1}, 415, "ArchiveUnsupported"),
        ({"disk_entries": 1}, 415, "ArchiveUnsupported"),
        ({"size": 5}, 400, "UploadBroken"),
        ({"offset": 5}, 400, "UploadBroken"),
        ({"entries": 1, "disk_entries": 1}, 400, "UploadBroken"),
        ({"entries": 3, "disk_entries": 3}, 400, "UploadBroken"),
        ({"size": 0, "offset": 1 << 30}, 400, "UploadBroken"),
    ],
)
async def test_end_record_that_lies_is_refused(
    behind: tuple[S3, Bucket], end: dict[str, int], status: int, reason: str, *, zip64: bool
) -> None:
    members = [Member(b"a.png"), Member(b"b.png")]
    problem = await problem_of(behind, ZipFile(members, end=end, zip64=zip64).to_bytes())
    assert (problem.status, problem.reason) == (status, reason)


async def test_zip64_record_in_the_wrong_place_is_refused(behind: tuple[S3, Bucket]) -> None:
    data = ZipFile([Member(b"a.png")], zip64=True).to_bytes()
    for place in (0, 10, 1 << 40):
        moved = data[:-34] + place.to_bytes(8, "little") + data[-26:]
        problem = await problem_of(behind, moved)
        assert (problem.status, problem.reason) == (400, "UploadBroken")


async def test_damaged_directory_is_refused_before_any_image(behind: tuple[S3, Bucket]) -> None:
    data = zipped({"a.png": PNG, "b.png": PNG})
    place = data.rindex(b"PK\1\2")
    problem = await problem_of(behind, data[:place] + b"XX" + data[place + 2 :])
    assert (problem.status, problem.reason) == (400, "UploadBroken")


async def test_too_many_members_are_refused_before_the_directory_is_read(
    behind: tuple[S3, Bucket],
) -> None:
    s3, _ = behind
    data = zipped({f"{number}.png": PNG for number in range(11)})
    problem = await problem_of(behind, data, ZipLimits(10, 10_000))
    assert (problem.status, problem.reason) == (413, "TooManyImages")
    assert "11" in problem.detail
    assert "10" in problem.detail
    assert s3.requests.count(f"GET /bucket/{KEY}") == 1


async def test_directory_that_is_too_large_is_refused(
    behind: tuple[S3, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_end, "MAX_DIRECTORY_BYTES", 50)
    problem = await problem_of(behind, zipped({"a.png": PNG}))
    assert (problem.status, problem.reason) == (413, "DirectoryTooLarge")


@pytest.mark.parametrize(
    "data", [b"", b"P", b"PK", b"not a zip file", b"\x1f\x8b\x08", PNG, b"MZ" + zipped({"a": b"a"})]
)
async def test_body_that_is_no_zip_file_is_refused(behind: tuple[S3, Bucket], data: bytes) -> None:
    problem = await problem_of(behind, data)
    assert (problem.status, problem.reason) == (400, "UploadBroken")


async def test_body_that_is_no_zip_file_is_not_stored(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind

    async def body() -> AsyncIterator[bytes]:
        yield b"n"
        yield b"ot a zip file"
        raise AssertionError("the rest of the body was read")

    with pytest.raises(Problem, match="not a zip file"):
        await store_zip(bucket, body(), KEY)
    assert s3.requests == []


async def test_empty_zip_file_has_no_members(behind: tuple[S3, Bucket]) -> None:
    assert await list_zip(behind, zipped({})) == MemberPage()


async def test_body_that_breaks_is_not_stored(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind

    async def body() -> AsyncIterator[bytes]:
        yield zipped({"a.png": bytes(9 << 20)}, zipfile.ZIP_STORED)[: 9 << 20]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store_zip(bucket, body(), KEY)

    assert s3.objects == {}
    assert (s3.multipart.created, s3.multipart.uploads) == (1, {})


async def test_zip_file_that_is_too_large_is_refused(
    behind: tuple[S3, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_contract.clients.bucket_uploads.MAX_PARTS", 1)
    data = zipped({"a.png": bytes(17 << 20)}, zipfile.ZIP_STORED)
    problem = await problem_of(behind, data)
    assert (problem.status, problem.reason) == (413, "ZipTooLarge")


async def test_object_that_lacks_bytes_is_an_error_of_storage(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind
    s3.put(KEY, zipped({"a.png": PNG}))
    size = len(s3.objects[KEY].data)
    with pytest.raises(StoreUnavailableError, match=f"{size} of {size + 1} bytes"):
        await anext(list_members(bucket, KEY, size + 1, LIMITS))
