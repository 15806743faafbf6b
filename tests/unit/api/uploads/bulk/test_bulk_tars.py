"""Tests of POST /batches with a tar stream."""

import gzip
import io
import tarfile
import tracemalloc

import httpx
import pytest
from api_fakes import LIMIT, picture
from form_bytes import chunks
from uploaded_batches import TAR, World, refused, tar_of
from vision_node_api.uploads.bulk.file_collector import FileCollector
from vision_node_api.uploads.bulk.tar_files import TarFiles

PNG, JPEG = picture(), picture("JPEG")
FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


def member(name: str, kind: bytes, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("piece", [1, 511, 100_000])
async def test_tar_becomes_a_batch(
    web: httpx.AsyncClient, world: World, kind: str, piece: int
) -> None:
    files = {"./a.png": PNG, "holiday/b.jpg": JPEG, "c.png": PNG + bytes(1536 - len(PNG))}
    body = tar_of(files, member("holiday", tarfile.DIRTYPE), kind=FORMATS[kind])

    async def pieces() -> object:
        for chunk in chunks(body, piece):
            yield chunk

    answer = (await web.post("/batches", content=pieces(), headers=TAR)).json()
    assert (answer["images"], answer["refused"]["count"]) == (3, 0)
    expected = {name.removeprefix("./"): data for name, data in files.items()}
    assert world.images(answer["name"]) == expected


@pytest.mark.parametrize("kind", ["pax", "gnu"])
async def test_long_names_are_read(web: httpx.AsyncClient, world: World, kind: str) -> None:
    files = {"x" * 505 + "/雪.png": PNG, "b.png": PNG}
    body = tar_of(files, kind=FORMATS[kind])
    answer = (await web.post("/batches?prompt=x", content=body, headers=TAR)).json()
    assert world.images(answer["name"]) == files


async def test_members_that_are_no_images_are_refused(web: httpx.AsyncClient, world: World) -> None:
    files = {
        "a.png": PNG,
        "../up.png": PNG,
        "/root.png": PNG,
        "large.png": PNG + bytes(LIMIT),
        "empty.png": b"",
        "inner.tar.gz": gzip.compress(b"x" * 2000),
        ".DS_Store": b"x" * 600,
        "__MACOSX/._a.png": b"x" * 600,
        "line\nbreak.png": PNG,
        b"latin\xe9.png".decode(errors="surrogateescape"): PNG,
        "a.png ": JPEG,
    }
    others = (
        member("link.png", tarfile.SYMTYPE, linkname="a.png"),
        member("hard.png", tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("device.png", tarfile.BLKTYPE),
        member("fifo.png", tarfile.FIFOTYPE),
    )
    body = tar_of(files, *others, kind=tarfile.GNU_FORMAT)
    answer = (await web.post("/batches", content=body, headers=TAR)).json()

    assert refused(answer) == {
        "../up.png": "NameInvalid",
        "/root.png": "NameInvalid",
        "large.png": "ImageTooLarge",
        "empty.png": "EmptyFile",
        "inner.tar.gz": "NestedArchive",
        "line\ufffdbreak.png": "NameInvalid",
        "latin?.png": "NameInvalid",
        "link.png": "NotAFile",
        "hard.png": "NotAFile",
        "device.png": "NotAFile",
        "fifo.png": "NotAFile",
    }
    assert answer["skipped"] == 2
    assert world.images(answer["name"]) == {"a.png": PNG, "a.png ": JPEG}


async def test_sparse_files_are_refused_and_skipped(web: httpx.AsyncClient, world: World) -> None:
    """An old GNU header with another block of its map, and a pax header with a map."""
    old = bytearray(member("old.png", tarfile.GNUTYPE_SPARSE, size=700).tobuf(tarfile.GNU_FORMAT))
    old[482] = 1
    old[148:156] = b"        "
    old[148:156] = b"%06o\0 " % sum(old)
    maps = [bytes([0] * 504 + [more] + [0] * 7) for more in (1, 0)]
    start = bytes(old) + b"".join(maps) + bytes(1024)

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        sparse = tarfile.TarInfo("GNUSparseFile.0/new.png")
        sparse.size = len(PNG)
        sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "new.png"}
        tar.addfile(sparse, io.BytesIO(PNG))
    new = out.getvalue()[: 4 * 512]

    body = start + new + tar_of({"a.png": PNG})
    answer = (await web.post("/batches", content=body, headers=TAR)).json()
    assert refused(answer) == {"old.png": "NotAFile", "new.png": "NotAFile"}
    assert world.images(answer["name"]) == {"a.png": PNG}


def bomb(kind: bytes, size: int) -> bytes:
    return member("x", kind, size=size).tobuf(tarfile.GNU_FORMAT) + bytes(1024)


WHOLE = tar_of({"a.png": PNG, "b.png": PNG})
END = len(WHOLE.rstrip(b"\0")) + 400
BROKEN = {
    "empty": (b"", 400, "UploadBroken"),
    "short": (b"x" * 99, 400, "UploadBroken"),
    "garbage": (b"x" * 20_000, 400, "UploadBroken"),
    "garbage after a file": (WHOLE[:1024] + b"x" * 2000, 400, "UploadBroken"),
    "cut off in a header": (WHOLE[:1200], 400, "UploadBroken"),
    "cut off in a file": (WHOLE[:600], 400, "UploadBroken"),
    "no end": (WHOLE[:2048], 400, "UploadBroken"),
    "one block of zeros": (WHOLE[:2560], 400, "UploadBroken"),
    "zeros in the middle": (WHOLE[:1024] + bytes(512) + WHOLE[1024:], 400, "UploadBroken"),
    "huge name": (WHOLE[:1024] + bomb(tarfile.GNUTYPE_LONGNAME, 1 << 31), 400, "UploadBroken"),
    "huge pax header": (WHOLE[:1024] + bomb(tarfile.XHDTYPE, 1 << 20), 400, "UploadBroken"),
    "invalid pax header": (WHOLE[:1024] + bomb(tarfile.XHDTYPE, 9), 400, "UploadBroken"),
    "negative size": (
        WHOLE[:1024] + bomb(tarfile.REGTYPE, -5),
        400,
        "UploadBroken",
    ),
    "gzip": (gzip.compress(WHOLE), 415, "ArchiveUnsupported"),
    "zip": (b"PK\3\4" + bytes(600), 415, "ArchiveUnsupported"),
    "nothing inside": (bytes(10_240), 422, "NoImages"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_broken_tar_leaves_nothing_behind(
    web: httpx.AsyncClient, world: World, case: str
) -> None:
    body, status, reason = BROKEN[case]
    response = await web.post("/batches", content=body, headers=TAR)
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    assert world.api.bodies == {}


async def test_size_in_a_pax_header_counts(web: httpx.AsyncClient, world: World) -> None:
    body = bytearray(tar_of({"x" * 200 + ".png": PNG, "b.png": PNG}))
    header = body.index(b"path=")
    record = bytes(body[512 : body.index(b"\0", 512)])
    size = b"%d size=%d\n" % (len("00 size=00\n"), len(PNG))
    assert header > 512
    extended = record + size
    body[512 : 512 + len(extended)] = extended
    body[124:136] = b"%011o\0" % len(extended)
    body[148:156] = b"        "
    body[148:156] = b"%06o\0 " % sum(body[:512])
    at = 1024
    body[at + 124 : at + 136] = b"%011o\0" % 0
    body[at + 148 : at + 156] = b"        "
    body[at + 148 : at + 156] = b"%06o\0 " % sum(body[at : at + 512])

    answer = (await web.post("/batches", content=bytes(body), headers=TAR)).json()
    assert world.images(answer["name"]) == {"x" * 200 + ".png": PNG, "b.png": PNG}


def pax_header(records: bytes) -> bytes:
    """Return a pax header with these records, without the member that should follow it."""
    info = member("h", tarfile.XHDTYPE, size=len(records))
    return info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % tarfile.BLOCKSIZE)


def test_pax_headers_without_a_member_take_no_memory() -> None:
    files = TarFiles(FileCollector(LIMIT))
    tracemalloc.start()
    try:
        for number in range(50):
            value = b"%d" % number + b"x" * 200_000
            record = b" k%d=" % number + value + b"\n"
            length = len(record) + 6
            files.write(pax_header(b"%d" % length + record))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1 << 20


async def test_only_the_next_member_is_sparse(web: httpx.AsyncClient, world: World) -> None:
    body = pax_header(b"22 GNU.sparse.major=1\n") + tar_of({"a.png": PNG, "b.png": PNG})
    answer = (await web.post("/batches", content=body, headers=TAR)).json()
    assert refused(answer) == {"a.png": "NotAFile"}
    assert world.images(answer["name"]) == {"b.png": PNG}
