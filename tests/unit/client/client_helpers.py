"""What tests of the client share: its images, and running the command vision-node."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vision_node_client import Retries
from vision_node_client.cli.main import main

QUICK = Retries(attempts=3, first_seconds=0.01)
"""Three attempts without noticeable pauses."""

JPEG = b"\xff\xd8"
"""What the fake server accepts as an image."""

NAMES = [*(f"{number}.jpg" for number in range(5)), "sub/ä %2F?#.png"]
"""customIds of the images in the fixture `folder`."""

PROGRAM = (
    # A shell that runs tests in the background makes them ignore Ctrl-C.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from vision_node_client.cli.main import run; run()"
)


def vision_node(*arguments: object) -> int:
    """Run the command in this process, and return its exit code."""
    return main([str(it) for it in arguments])


@contextmanager
def started(*arguments: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the command in a process of its own, which is killed at the end."""
    command = [sys.executable, "-c", PROGRAM, *(str(it) for it in arguments)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file in JSON Lines."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def names_in(path: Path) -> list[str]:
    """Return the sorted customIds in a file in JSON Lines."""
    return sorted(line["customId"] for line in lines_of(path))


def journal_of(path: Path) -> dict[str, Any]:
    """Return the journal of a file with results."""
    found: dict[str, Any] = json.loads(Path(f"{path}.state").read_text())
    return found
