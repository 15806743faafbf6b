"""Debian packages: installed on this machine, and unpacked into root file systems for images."""

import os
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import versions
from cluster.artifacts.cache import fingerprint
from cluster.context import Workshop
from cluster.errors import ClusterError
from cluster.run import shell

# apt and dpkg hold a lock of their own that they don't wait for.
_apt = threading.Lock()

# Nobody reads these in a container, and they are a third of what a package unpacks. gconv is for
# the C library's own conversion of old encodings, which Python does without.
UNREAD = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"),
    "/usr/lib/*/gconv/*",
)

# What the machine's own apt was told about proxies, certificates and old mirrors.
APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-")

REACH_A_REGISTRY = (
    "Images are made from packages because no image registry answers: see that "
    "`docker pull hello-world` works, and nothing of it is needed."
)


def install(shop: Workshop, programs: Mapping[str, str], instead: str) -> None:
    """Install the packages of those programs (program: package) that are not on PATH.

    `instead` tells a user who may not do so here what to do.
    """
    with _apt:
        missing = sorted({package for name, package in programs.items() if not _which(name)})
        if not missing:
            return
        need_root(f"install Debian's {', '.join(missing)}", instead)
        with shop.progress.step(f"Debian packages {' '.join(missing)}", outcome="installed"):
            env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            shell.run(["apt-get", "update"], env=env)
            command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
            # Docker's and nginx' packages would start a daemon of their own where an init system
            # runs.
            shell.run(command, env=env | {"RUNLEVEL": "1"})


def _which(program: str) -> str | None:
    # Debian keeps daemons out of an ordinary user's PATH.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def may_install() -> bool:
    """Return whether this process may install packages here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def need_root(purpose: str, instead: str) -> None:
    """Raise ClusterError unless this process may install packages here."""
    if not may_install():
        raise ClusterError(f"Only root on Debian or Ubuntu can {purpose}. {instead}")


@dataclass(frozen=True)
class RootFileSystem:
    """What a Debian root file system consists of; `variant` is one of mmdebstrap's."""

    name: str
    release: str
    variant: str
    packages: tuple[str, ...]


def root_file_system(shop: Workshop, wanted: RootFileSystem) -> Path:
    """A tar of a fresh Debian with those packages, from the machine's own mirror."""
    sources, command = machine_sources(wanted.release), _command(wanted)

    def make(tar: Path) -> None:
        install(shop, {"mmdebstrap": "mmdebstrap"}, REACH_A_REGISTRY)
        from_input = ["-"] if sources else []
        shell.run([*command, tar, *from_input], text_in=sources)

    key = root_key(wanted)

    return shop.make(f"Debian for {wanted.name}", wanted.name, key, make, suffix=".tar")


def root_key(wanted: RootFileSystem) -> str:
    """A fingerprint of how the root file system is made and of where its packages come from."""
    return fingerprint(*_command(wanted), machine_sources(wanted.release))


def _command(wanted: RootFileSystem) -> list[str]:
    """How mmdebstrap is called; the tar and the mirrors are still to be named."""
    return [
        "mmdebstrap",
        "--mode=root",
        f"--variant={wanted.variant}",
        # Merged by the hook: the package that would merge it brings all of Perl along.
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        f"--include={','.join(['usr-is-merged', *wanted.packages])}",
        *(f"--dpkgopt=path-exclude={path}" for path in UNREAD),
        *(f"--aptopt={setting}" for setting in machine_settings()),
        "--format=tar",
        wanted.release,
    ]


def machine_sources(release: str) -> str:
    """The machine's list of Debian mirrors, turned to that release.

    Empty, which means mmdebstrap's own mirror, on a machine of another release than
    `versions.DEBIAN`.
    """
    if f"VERSION_CODENAME={versions.DEBIAN}" not in _read("/etc/os-release").splitlines():
        return ""
    places = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
    found = next((text for text in map(_read, places) if text.strip()), "")
    return of_release(found, versions.DEBIAN, release)


def of_release(sources: str, old: str, new: str) -> str:
    """A list of mirrors (deb822 or one line each) with its suites renamed: `old`, `old-security` and so on.

    What merely has the old name in it, an address or a key's file, stays.
    """
    return re.sub(rf"(?<=\s){old}(?=[-\s]|$)", new, sources)


def machine_settings() -> list[str]:
    """The lines of the machine's apt configuration that decide how packages are fetched."""
    if not shutil.which("apt-config"):
        return []
    lines = shell.output(["apt-config", "dump"]).splitlines()
    return [line.rstrip(";") for line in lines if line.startswith(APT_SETTINGS)]


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def chromium(shop: Workshop) -> None:
    """Install a browser for the browser tests, unless $CHROMIUM names one."""
    if not os.environ.get("CHROMIUM"):
        instead = "Set CHROMIUM to the path of a Chromium or Chrome."
        install(shop, {"chromium": "chromium"}, instead)


def nginx(shop: Workshop) -> None:
    """Install a proxy for the tests of what is behind one, unless $NGINX names one; start nothing."""
    if not os.environ.get("NGINX"):
        install(shop, {"nginx": "nginx"}, "Set NGINX to the path of an nginx.")
