"""Fake programs and archives for the tests of the tools."""

import hashlib
import io
import tarfile

# A fake program that records its name and arguments.
PROGRAM = '#!/bin/sh\necho "${{0##*/}} $*" >> {calls}\n{rest}'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tar_gz(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
