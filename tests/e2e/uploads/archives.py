"""Tar and zip files with pictures and with odd members."""

import io
import tarfile
import warnings
import zipfile
from collections.abc import Sequence

Files = Sequence[tuple[str, bytes]]
"""Names and contents, in their order. Names may occur twice."""

ENCRYPTED_FLAG = 0x1
"""Bit of the flags of an encrypted member (APPNOTE.TXT, section 4.4.4)."""

LOCAL_FLAGS_OFFSET = 6
"""Where the flags are in a local file header (APPNOTE.TXT, section 4.3.7)."""


def tar_file(files: Files, odd: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """Return a tar file with these files, and then members without content, such as links."""
    body = tar_without_end(files, odd)
    return body + bytes(2 * tarfile.BLOCKSIZE)


def tar_without_end(files: Files, odd: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """Return a tar file without the empty blocks that end it, as if more members followed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        for member in odd:
            archive.addfile(member)

        end = archive.offset

    return buffer.getvalue()[:end]


def tar_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a member without content, such as a link to a target."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zip_file(files: Files, encrypted: Files = (), bzip2: Files = ()) -> bytes:
    """Return a zip file in which PNGs are deflated and other files are stored.

    Args:
        files: Its usual members.
        encrypted: Members that claim to be encrypted. Python can't encrypt them.
        bzip2: Members that are compressed with bzip2.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.filterwarnings("ignore", "Duplicate name", UserWarning)
        for name, data in files:
            method = zipfile.ZIP_DEFLATED if name.endswith(".png") else zipfile.ZIP_STORED
            archive.writestr(name, data, method)

        for name, data in bzip2:
            archive.writestr(name, data, zipfile.ZIP_BZIP2)

        for name, data in encrypted:
            archive.writestr(name, data)
            archive.getinfo(name).flag_bits |= ENCRYPTED_FLAG

        offsets = [archive.getinfo(name).header_offset for name, _ in encrypted]

    written = bytearray(buffer.getvalue())
    for offset in offsets:
        written[offset + LOCAL_FLAGS_OFFSET] |= ENCRYPTED_FLAG
    return bytes(written)
