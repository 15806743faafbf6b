"""The cache directory: everything that was built once, keyed by a fingerprint of its inputs."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

# Two of each thing: switching between two branches of the project rebuilds nothing.
KEPT_PER_NAME = 2
KEY_LENGTH = 12

UNFINISHED = ".unfinished"


def fingerprint(*inputs: str | Path) -> str:
    """A short key of texts and of files' (or whole folders') relative names, modes and contents."""
    digest = hashlib.sha256()
    for item in inputs:
        parts = _file_parts(item) if isinstance(item, Path) else [item.encode()]
        for part in parts:
            # The length before each part keeps ("ab", "c") and ("a", "bc") apart.
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:KEY_LENGTH]


def _file_parts(path: Path) -> Iterator[bytes]:
    for file in files_below(path):
        executable = b"x" if os.access(file, os.X_OK) else b"-"
        yield str(file.relative_to(path.parent)).encode()
        yield executable + file.read_bytes()


def files_below(path: Path) -> list[Path]:
    """The file itself or all files in the folder, in a stable order, without Python's leftovers."""
    if not path.is_dir():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sorted(found)


def default_root() -> Path:
    """$VISION_NODE_CACHE, or vision-node below the user's cache directory."""
    if chosen := os.environ.get("VISION_NODE_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "vision-node"


@dataclass(frozen=True)
class Cache:
    """Paths below the cache directory, and the two ways of writing there: atomically, and locked."""

    root: Path

    @property
    def made(self) -> Path:
        """Where the keyed things are."""
        return self.folder("made")

    @property
    def bin(self) -> Path:
        """Links to the tools, for PATH."""
        return self.folder("bin")

    @property
    def logs(self) -> Path:
        """One file per step: what its commands printed the last time."""
        return self.folder("logs")

    @property
    def timings(self) -> Path:
        """One JSON line per step that ever ran."""
        return self.root / "timings.jsonl"

    def folder(self, *names: str) -> Path:
        """A folder below the cache, made if necessary."""
        path = self.root.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def entry(self, name: str, key: str, suffix: str = "") -> Path:
        """Where the thing `name` made from inputs with that key is, or would be."""
        return self.made / f"{name}-{key}{suffix}"

    def fill(self, entry: Path, make: Callable[[Path], None]) -> None:
        """Let `make` write a new file or folder and rename it to `entry` when it is complete."""
        # Named after this process: a child of one that was killed may still be writing.
        unfinished = entry.with_name(f".{entry.name}.{os.getpid()}{UNFINISHED}")
        try:
            make(unfinished)
            unfinished.rename(entry)
        finally:
            remove(unfinished)

    def prune(self, name: str) -> None:
        """Drop all but the newest few entries of that name, and what killed runs left of it."""
        # A key is hexadecimal, so that "helm-*" does not take "helm-plugin-<key>" along.
        entries = f"{name}-{'[0-9a-f]' * KEY_LENGTH}*"
        newest_first = sorted(self.made.glob(entries), key=_modified, reverse=True)
        for path in (*newest_first[KEPT_PER_NAME:], *self.made.glob(f".{entries}{UNFINISHED}*")):
            remove(path)

    @contextlib.contextmanager
    def locked(self, name: str, waiting: Callable[[str], None]) -> Iterator[None]:
        """Hold `name` alone; tells `waiting` once when another run has it."""
        with self._lock_file(name) as file:
            if not _try_lock(file, fcntl.LOCK_EX):
                holder = file.read()
                if holder != str(os.getpid()):
                    waiting(f"  waiting for another run, which has {name} (process {holder})")
                fcntl.flock(file, fcntl.LOCK_EX)

            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            yield

    @contextlib.contextmanager
    def shared(self, name: str) -> Iterator[None]:
        """Hold `name` together with other runs that share it."""
        with self._lock_file(name) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Hold `name` alone if no other run shares it; whether that is so."""
        with self._lock_file(name) as file:
            yield _try_lock(file, fcntl.LOCK_EX)

    def _lock_file(self, name: str) -> TextIO:
        # Closing it gives the lock back, and so does the kernel when the process dies.
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
    """Delete a file or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(target: Path, name: Path) -> None:
    """Make or move the symbolic link `name` so that at no moment it is missing."""
    fresh = name.with_name(f".{name.name}.{os.getpid()}")
    remove(fresh)
    fresh.symlink_to(target)
    fresh.replace(name)
