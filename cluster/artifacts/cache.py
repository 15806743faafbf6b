"""Keep artifacts in the cache directory, each under a key: a fingerprint of its inputs."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

# Number of artifacts to keep per name. With two, switching between two branches rebuilds nothing.
KEPT_PER_NAME = 2
KEY_LENGTH = 12

UNFINISHED = ".unfinished"


def fingerprint(*inputs: str | Path) -> str:
    """Return a short key for texts and files; a folder stands for all files in it.

    A file contributes its relative name, whether it is executable, and its content.
    """
    digest = hashlib.sha256()

    for item in inputs:
        chunks = _file_chunks(item) if isinstance(item, Path) else [item.encode()]
        for chunk in chunks:
            # The length before each chunk distinguishes ("ab", "c") from ("a", "bc").
            digest.update(len(chunk).to_bytes(8, "big") + chunk)

    return digest.hexdigest()[:KEY_LENGTH]


def _file_chunks(path: Path) -> Iterator[bytes]:
    for file in files_below(path):
        executable = b"x" if os.access(file, os.X_OK) else b"-"
        yield str(file.relative_to(path.parent)).encode()
        yield executable + file.read_bytes()


def files_below(path: Path) -> list[Path]:
    """Return the file itself, or all files in the folder in a stable order, without __pycache__."""
    if not path.is_dir():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sorted(found)


def default_root() -> Path:
    """Return $VISION_NODE_CACHE, or vision-node in the user's cache directory."""
    if chosen := os.environ.get("VISION_NODE_CACHE"):
        return Path(chosen).absolute()

    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "vision-node"


@dataclass(frozen=True)
class Cache:
    """The paths in the cache directory, with atomic writes and locks."""

    root: Path

    @property
    def artifacts(self) -> Path:
        """The folder of the artifacts."""
        return self.folder("made")

    @property
    def bin(self) -> Path:
        """The folder with links to the tools, for PATH."""
        return self.folder("bin")

    @property
    def logs(self) -> Path:
        """The folder with the log of each step's last run."""
        return self.folder("logs")

    @property
    def timings(self) -> Path:
        """The file with one JSON line for each finished step of all runs."""
        return self.root / "timings.jsonl"

    def folder(self, *names: str) -> Path:
        """Return a folder in the cache; create it if necessary."""
        path = self.root.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def entry(self, name: str, key: str, suffix: str = "") -> Path:
        """Return the path of the artifact `name` with this key, whether it exists or not."""
        return self.artifacts / f"{name}-{key}{suffix}"

    def fill(self, entry: Path, make: Callable[[Path], None]) -> None:
        """Let `make` write a new file or folder, and rename it to `entry` when it is complete."""
        # The name contains the process ID, because a killed run may have left behind a child that
        # is still writing.
        unfinished = entry.with_name(f".{entry.name}.{os.getpid()}{UNFINISHED}")
        try:
            make(unfinished)
            unfinished.rename(entry)
        finally:
            remove(unfinished)

    def prune(self, name: str) -> None:
        """Delete old artifacts with this name, and incomplete ones that killed runs left behind."""
        # The pattern spells out the key, because "helm-*" would also match "helm-plugin-<key>".
        entries = f"{name}-{'[0-9a-f]' * KEY_LENGTH}*"
        newest_first = sorted(self.artifacts.glob(entries), key=_modified, reverse=True)
        incomplete = self.artifacts.glob(f".{entries}{UNFINISHED}*")

        for path in (*newest_first[KEPT_PER_NAME:], *incomplete):
            remove(path)

    @contextlib.contextmanager
    def locked(self, name: str, waiting: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock `name`. Call `waiting` once with a message if another run holds it."""
        with self._lock_file(name) as file:
            if not _try_lock(file, fcntl.LOCK_EX):
                holder = file.read()
                if holder != str(os.getpid()):
                    waiting(f"  waiting for another run that uses {name} (process {holder})")

                fcntl.flock(file, fcntl.LOCK_EX)

            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            yield

    @contextlib.contextmanager
    def shared(self, name: str) -> Iterator[None]:
        """Hold the lock `name` together with other runs that share it."""
        with self._lock_file(name) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Hold the lock `name` unless another run holds or shares it; yield whether it is held."""
        with self._lock_file(name) as file:
            yield _try_lock(file, fcntl.LOCK_EX)

    def _lock_file(self, name: str) -> TextIO:
        # Closing the file releases the lock. If the process dies, the kernel closes the file.
        path = self.folder("locks") / name
        path.touch()
        return path.open("r+")


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _try_lock(file: TextIO, operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(path: Path) -> None:
    """Delete a file or a whole folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(target: Path, name: Path) -> None:
    """Create the symbolic link `name`, or replace it in one step so that it is never missing."""
    fresh = name.with_name(f".{name.name}.{os.getpid()}")
    remove(fresh)
    fresh.symlink_to(target)
    fresh.replace(name)
