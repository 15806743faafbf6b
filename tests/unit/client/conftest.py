"""Fixtures for tests of the client: a fake server, both clients, and a folder of images."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client_helpers import JPEG, QUICK
from fakes.vision_node_server import VisionNodeServer, serving_vision_node
from vision_node_client import AsyncVisionNode, VisionNode


@pytest.fixture
def server() -> Iterator[VisionNodeServer]:
    """A fake server on a real socket."""
    with serving_vision_node() as fake:
        yield fake


class InLoop:
    """Calls the methods of the asynchronous client as if they were synchronous.

    Iterators become lists.
    """

    def __init__(self, node: AsyncVisionNode, runner: asyncio.Runner) -> None:
        self._node = node
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any, **options: Any) -> Any:
            found = getattr(self._node, name)(*args, **options)
            return await found if inspect.isawaitable(found) else [it async for it in found]

        return lambda *args, **options: self._runner.run(call(*args, **options))


@pytest.fixture(params=["sync", "async"])
def node(request: pytest.FixtureRequest, server: VisionNodeServer) -> Iterator[Any]:
    """The synchronous client, and then the asynchronous one."""
    if request.param == "sync":
        with VisionNode(server.url, timeout=5, retries=QUICK) as sync_node:
            yield sync_node
        return

    with asyncio.Runner() as runner:
        async_node = AsyncVisionNode(server.url, timeout=5, retries=QUICK)
        yield InLoop(async_node, runner)
        runner.run(async_node.close())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with six images, one of them in a subfolder."""
    found = tmp_path / "pictures"
    (found / "sub").mkdir(parents=True)
    for number in range(5):
        (found / f"{number}.jpg").write_bytes(JPEG + b"%d" % number)
    (found / "sub" / "ä %2F?#.png").write_bytes(b"\x89PNG")
    return found
