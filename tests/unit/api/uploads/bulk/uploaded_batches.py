"""Read uploaded ImageBatches as the archiver and the workers do, and build uploads."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakes.batch_api import BatchApi
from fakes.s3 import RELEASE_ID, S3
from form_bytes import FORM_TYPE, file, form, text
from vision_node_contract.batch_uploads import UploadedImage, UploadFolder
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.models.imagebatch import ImageBatch

FORM = {"Content-Type": FORM_TYPE}
TAR = {"Content-Type": "application/x-tar"}
FOLDERS = BucketFolders(RELEASE_ID)


@dataclass
class World:
    """The ImageBatches in Kubernetes, and their objects in the bucket."""

    api: BatchApi
    s3: S3

    def batch(self, name: str) -> ImageBatch:
        """Return an ImageBatch."""
        return self.api.batch(name)

    def lines(self, name: str) -> list[UploadedImage]:
        """Return the lines of the lists of a complete upload."""
        batch = self.batch(name)
        upload, folder = batch.spec.upload, UploadFolder(FOLDERS, batch.metadata.uid)
        assert upload is not None
        assert upload.complete
        texts = [
            self.s3.objects[folder.list_key(str(upload.attempt), number)].data
            for number in range(upload.lists or 0)
        ]
        return [UploadedImage.model_validate_json(it) for it in b"".join(texts).splitlines()]

    def images(self, name: str) -> dict[str, bytes]:
        """Return the images of a complete upload by their customIds."""
        batch = self.batch(name)
        folder = UploadFolder(FOLDERS, batch.metadata.uid)
        alone = {
            folder.custom_id(key) or "": it.data
            for key, it in self.s3.objects.items()
            if key.startswith(folder.images)
        }
        attempt = batch.spec.upload.attempt if batch.spec.upload else None
        found = {
            it.custom_id: self._part(folder.attempt(str(attempt)), it) for it in self.lines(name)
        }
        return found | alone

    def keys(self) -> list[str]:
        """Return the keys of all objects below batches/."""
        return [key for key in self.s3.objects if key.startswith(FOLDERS.batches)]

    def _part(self, folder: str, line: UploadedImage) -> bytes:
        data = self.s3.objects[f"{folder}{line.object}"].data[line.offset :][: line.length]
        assert len(data) == line.size
        return data


def form_of(files: dict[str, bytes], **options: str) -> bytes:
    """Return a form with options and then files."""
    fields = [text(name, value) for name, value in options.items()]
    return form(*fields, *(file("files", data, name) for name, data in files.items()))


def tar_of(
    files: dict[str, bytes],
    *others: tarfile.TarInfo,
    kind: int = tarfile.PAX_FORMAT,
    change: Callable[[tarfile.TarInfo], None] = lambda _: None,
) -> bytes:
    """Return a tar stream with these files, and then with other members without data."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            tar.addfile(info, io.BytesIO(data))
        for other in others:
            tar.addfile(other)
    return out.getvalue()


def refused(answer: dict[str, Any]) -> dict[str, str]:
    """Return the reasons of refused files by their names."""
    assert answer["refused"]["count"] == len(answer["refused"]["files"])
    return {it["file"]: it["reason"] for it in answer["refused"]["files"]}


def document(text: bytes) -> list[dict[str, Any]]:
    """Return the lines of a response in JSON Lines."""
    return [json.loads(line) for line in text.splitlines()]
