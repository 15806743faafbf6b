"""Tests of the worker process: how it exits while a thread is hung, and how it limits pixels."""

import subprocess
import sys
from typing import Any

import pytest
from PIL import Image
from vision_node_contract.clients.kube import UnavailableError
from vision_node_describer import worker
from vision_node_describer.settings import Settings

MAIN = """
import asyncio, threading
from vision_node_describer import __main__ as module

async def run(settings):
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    {}

module.run, module.Settings.from_env = run, lambda: None
module.main()
"""


@pytest.mark.parametrize(
    ("end", "status", "logged"), [("return", 0, ""), ("1 / 0", 1, "ZeroDivisionError")]
)
def test_process_exits_while_a_thread_is_hung(end: str, status: int, logged: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN.format(end)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, logged in done.stderr) == (status, True), done.stderr


ENVIRONMENT = {
    "POD_NAMESPACE": "ns",
    "POD_NAME": "w0",
    "POD_UID": "u",
    "DESCRIBER": "metadata",
    "PROVIDER": "metadata",
    "CONCURRENCY": "4",
    "MAX_IMAGE_BYTES": "1000",
    "MEMORY_LIMIT_BYTES": "1000",
    "MAX_IMAGES": "0",
    "MAX_ATTEMPTS": "3",
    "TIMEOUT_SECONDS": "60",
}


@pytest.mark.parametrize(
    ("configured", "pixels"), [("250000000", 250_000_000), (None, 100_000_000)]
)
async def test_pixel_limit_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, configured: str | None, pixels: int
) -> None:
    """Older versions of the chart do not set the variable, so the worker has a default."""

    def unavailable(_: str) -> Any:
        raise UnavailableError(0, "NoAnswer", "unavailable")

    monkeypatch.setattr(worker.Kube, "connect", unavailable)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for name, value in {
        **ENVIRONMENT,
        **({"MAX_IMAGE_PIXELS": configured} if configured else {}),
    }.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(UnavailableError):
        await worker.run(Settings.from_env())

    assert pixels == Image.MAX_IMAGE_PIXELS
