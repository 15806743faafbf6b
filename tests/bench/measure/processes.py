"""Read the CPU time and memory of processes on this machine from /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# Indexes of fields in /proc/<pid>/stat, counted after the process name. The state has index 0.
_PARENT, _USER, _SYSTEM, _WAITED_USER, _WAITED_SYSTEM = 1, 11, 12, 13, 14


@dataclass(frozen=True, slots=True)
class Process:
    """Contents of /proc/<pid>/stat. `cpu_seconds` includes child processes that have ended."""

    parent: int
    cpu_seconds: float


def parse_stat(text: str) -> Process:
    """Parse /proc/<pid>/stat. The name is in parentheses and can contain any characters."""
    fields = text.rpartition(")")[2].split()
    ticks = sum(int(fields[i]) for i in (_USER, _SYSTEM, _WAITED_USER, _WAITED_SYSTEM))
    return Process(int(fields[_PARENT]), ticks / TICKS_PER_SECOND)


def tree(root: int) -> dict[int, Process]:
    """Return the process `root` and all of its descendants, by process id."""
    everything = dict(_all())
    found: dict[int, Process] = {}
    generation = {root} & everything.keys()
    while generation:
        found |= {pid: everything[pid] for pid in generation}
        generation = {pid for pid, process in everything.items() if process.parent in generation}
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU time of the process `root` and its descendants in seconds."""
    return sum(process.cpu_seconds for process in tree(root).values())


def memory_bytes(root: int) -> int:
    """Return the memory of the process `root` and its descendants in bytes.

    Shared memory is counted proportionally (PSS).
    """
    return sum(_pss(Path(f"/proc/{pid}/smaps_rollup")) for pid in tree(root))


def busy_seconds(cores: Iterable[int]) -> float:
    """Return the CPU time of all programs on `cores` since the system start, in seconds."""
    wanted = {f"cpu{core}" for core in cores}
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    return sum(_busy(list(map(int, fields))) for name, *fields in lines if name in wanted)


def _busy(ticks: list[int]) -> float:
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = ticks[:7]
    return (user + nice + system + interrupts + soft_interrupts) / TICKS_PER_SECOND


def _all() -> Iterable[tuple[int, Process]]:
    for folder in Path("/proc").glob("[0-9]*"):
        if text := _read(folder / "stat"):
            yield int(folder.name), parse_stat(text)


def _pss(file: Path) -> int:
    lines = (line.split() for line in _read(file).splitlines())
    return sum(int(words[1]) * 1024 for words in lines if words[0] == "Pss:")


def _read(file: Path) -> str:
    """Return the contents of a file in /proc, or an empty string if the process has ended."""
    try:
        return file.read_text()
    except OSError:
        return ""
