"""Install Debian packages on this machine, and unpack them into root file systems for images."""

import os
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import versions
from cluster.artifacts.cache import fingerprint
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run import shell

# apt and dpkg fail if another process holds their lock, so only one thread runs them at a time.
_apt = threading.Lock()

# Paths to leave out of images, because containers do not need them and they take a third of the
# space. Python does not use the C library's gconv, which converts old encodings.
EXCLUDED_PATHS = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"),
    "/usr/lib/*/gconv/*",
)

# Prefixes of the machine's apt settings that mmdebstrap also needs: proxies, certificates and old
# mirrors.
APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-")

REGISTRY_ADVICE = (
    "Images are built from packages because no image registry answers. This is not needed if "
    "`docker pull hello-world` works."
)


def install(ctx: BuildContext, programs: Mapping[str, str], instead: str) -> None:
    """Install the Debian packages of the programs that are not on PATH.

    `programs` maps each program to its package. `instead` is advice for a user who can't install
    packages here.
    """
    with _apt:
        missing = sorted({package for name, package in programs.items() if not _which(name)})
        if not missing:
            return

        require_root(f"install the Debian packages {', '.join(missing)}", instead)
        with ctx.progress.step(f"Debian packages {' '.join(missing)}", outcome="installed"):
            env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            shell.run(["apt-get", "update"], env=env)

            command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
            # Without RUNLEVEL, the packages of Docker and nginx would start a daemon on machines
            # with an init system.
            shell.run(command, env=env | {"RUNLEVEL": "1"})


def _which(program: str) -> str | None:
    # On Debian, the folders that contain daemons are not on a regular user's PATH.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def may_install() -> bool:
    """Return whether this process may install packages here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def require_root(purpose: str, instead: str) -> None:
    """Raise ClusterError unless this process may install packages here."""
    if not may_install():
        raise ClusterError(f"Only root on Debian or Ubuntu can {purpose}. {instead}")


@dataclass(frozen=True)
class RootFileSystem:
    """The contents of a Debian root file system."""

    name: str
    release: str
    variant: str
    """mmdebstrap's variant, which determines the basic packages."""
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    """mmdebstrap's options for commands that it runs at certain steps, such as
    --customize-hook=<command>. $1 is the folder of the root file system."""


def root_file_system(ctx: BuildContext, wanted: RootFileSystem) -> Path:
    """Return the tar file of the root file system; build it if necessary."""
    sources, command = machine_sources(wanted.release), _command(wanted)

    def make(tar: Path) -> None:
        install(ctx, {"mmdebstrap": "mmdebstrap"}, REGISTRY_ADVICE)
        from_input = ["-"] if sources else []
        shell.run([*command, tar, *from_input], text_in=sources)

    key = root_key(wanted)

    return ctx.get_or_build(f"Debian for {wanted.name}", wanted.name, key, make, suffix=".tar")


def root_key(wanted: RootFileSystem) -> str:
    """Return a fingerprint of how the root file system is built and of its package sources."""
    return fingerprint(*_command(wanted), machine_sources(wanted.release))


def _command(wanted: RootFileSystem) -> list[str]:
    """Return the mmdebstrap command without the tar file and the mirrors."""
    return [
        "mmdebstrap",
        "--mode=root",
        f"--variant={wanted.variant}",
        # The hook merges /usr. The package that normally does so depends on all of Perl.
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        f"--include={','.join(['usr-is-merged', *wanted.packages])}",
        *wanted.hooks,
        *(f"--dpkgopt=path-exclude={path}" for path in EXCLUDED_PATHS),
        *(f"--aptopt={setting}" for setting in machine_settings()),
        "--format=tar",
        wanted.release,
    ]


def machine_sources(release: str) -> str:
    """Return the machine's list of Debian mirrors, changed to the given release.

    The list is empty if the machine's release is not `versions.DEBIAN`; mmdebstrap then uses its
    default mirror.
    """
    if f"VERSION_CODENAME={versions.DEBIAN}" not in _read("/etc/os-release").splitlines():
        return ""

    places = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
    found = next((text for text in map(_read, places) if text.strip()), "")
    return rename_suites(found, versions.DEBIAN, release)


def rename_suites(sources: str, old: str, new: str) -> str:
    """Rename the suites in a list of mirrors (deb822 or one-line): `old`, `old-security` and so on.

    Other text that contains the old name, such as a URL or the name of a key file, stays the same.
    """
    return re.sub(rf"(?<=\s){old}(?=[-\s]|$)", new, sources)


def machine_settings() -> list[str]:
    """Return the lines of the machine's apt configuration that affect how packages are fetched."""
    if not shutil.which("apt-config"):
        return []

    lines = shell.output(["apt-config", "dump"]).splitlines()
    return [line.rstrip(";") for line in lines if line.startswith(APT_SETTINGS)]


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def chromium(ctx: BuildContext) -> None:
    """Install a browser for the browser tests. Do nothing if $CHROMIUM names one."""
    if not os.environ.get("CHROMIUM"):
        instead = "Set CHROMIUM to the path of a Chromium or Chrome."
        install(ctx, {"chromium": "chromium"}, instead)


def nginx(ctx: BuildContext) -> None:
    """Install nginx, without starting it, for the proxy tests. Do nothing if $NGINX names one."""
    if not os.environ.get("NGINX"):
        install(ctx, {"nginx": "nginx"}, "Set NGINX to the path of an nginx.")
