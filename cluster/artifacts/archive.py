"""Write container images as files in the format of `docker save`, without a Docker engine."""

import hashlib
import io
import json
import platform
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.run import shell

# What a path in an image contains: a file to copy (Path), a symbolic link to a target (str), or an
# empty folder that any user can write to (None).
Content = Path | str | None

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

SHA256_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Image:
    """An image: its layers (tar files, the lowest first) and its configuration."""

    tags: tuple[str, ...]
    layers: tuple[Path, ...]
    entrypoint: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    user: str = ""
    """Numeric user and group, such as "10001:10001"; empty for root."""
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str = ""
    """The signal that ends the container; empty for SIGTERM."""

    def configuration(self, layer_digests: Sequence[str]) -> bytes:
        """Return the image's configuration in Docker's format."""
        diff_ids = [f"sha256:{digest}" for digest in layer_digests]
        config = {
            "Env": list(self.environment),
            "Entrypoint": list(self.entrypoint),
            "User": self.user,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
        }
        content = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "config": {name: value for name, value in config.items() if value},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }

        return json.dumps(content, sort_keys=True).encode()


def pack_layer(root: Path, layer: Path) -> None:
    """Pack a folder into a tar file. The files keep their owners."""
    shell.run(["tar", "--sort=name", "--numeric-owner", "-C", root, "-cf", layer, "."])


def pack_files(files: Mapping[str, Content], layer: Path) -> None:
    """Pack files, links and empty folders into a tar file. The keys are paths in the tar file."""
    with tarfile.open(layer, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            if isinstance(content, Path):
                entry.mode, entry.size = 0o755, content.stat().st_size
                with content.open("rb") as file:
                    tar.addfile(entry, file)
                continue

            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777

            tar.addfile(entry)


def write(images: Sequence[Image], target: Path) -> None:
    """Write one archive with all images, for `docker load` and `ctr images import`."""
    manifest = []

    with tarfile.open(target, "w") as tar:
        for image in images:
            layers = [_add_layer(tar, layer) for layer in image.layers]
            configuration = image.configuration([path.split("/")[0] for path in layers])
            name = f"{hashlib.sha256(configuration).hexdigest()}.json"
            _add(tar, name, configuration)
            manifest.append({"Config": name, "RepoTags": list(image.tags), "Layers": layers})

        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _add_layer(tar: tarfile.TarFile, layer: Path) -> str:
    """Add the layer and return its path in the archive, which begins with its digest."""
    path = f"{_sha256(layer)}/layer.tar"
    tar.add(layer, path)
    return path


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(SHA256_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
