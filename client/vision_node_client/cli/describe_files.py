"""The command `vision-node describe` for single images."""

import argparse
import asyncio
import json
from pathlib import Path

from ..async_client import AsyncVisionNode
from ..errors import JobFailedError, ProblemError
from ..models import Description
from .arguments import options_of
from .exit_codes import ExitCode
from .key_file import key_source
from .terminal import safe, say_error

PARALLEL_IMAGES = 8
"""Number of images that are described at the same time. Most wait in the server's queue."""


async def describe_files(paths: list[Path], arguments: argparse.Namespace) -> ExitCode:
    """Print the descriptions of images, in the order of the arguments.

    Raises:
        VisionNodeError: The server refused a request that is not about one image, or did not
            respond.
    """
    limit = asyncio.Semaphore(PARALLEL_IMAGES)
    is_single = len(paths) == 1
    is_complete = True

    key = key_source(arguments.api_key_file)
    async with AsyncVisionNode(arguments.server, arguments.timeout, api_key=key) as node:
        tasks = [asyncio.create_task(_describe(node, it, arguments, limit)) for it in paths]
        try:
            for path, task in zip(paths, tasks, strict=True):
                found = await task
                if isinstance(found, Description):
                    _print(found, None if is_single else path, as_json=arguments.json)
                else:
                    say_error(f"{path}: {found}")
                    is_complete = False
        finally:
            await _cancel(tasks)

    return ExitCode.DONE if is_complete else ExitCode.FAILED


async def _describe(
    node: AsyncVisionNode, path: Path, arguments: argparse.Namespace, limit: asyncio.Semaphore
) -> Description | str:
    """Return the description of an image, or why there is none."""
    async with limit:
        try:
            return await node.describe(path, **options_of(arguments))
        except JobFailedError as error:
            return str(error)
        except ProblemError as problem:
            if not problem.concerns_image:
                raise
            return str(problem)


async def _cancel(tasks: list[asyncio.Task[Description | str]]) -> None:
    for task in tasks:
        task.cancel()

    await asyncio.gather(*tasks, return_exceptions=True)


def _print(found: Description, path: Path | None, *, as_json: bool) -> None:
    """Print a description; `path` is its image if there are several."""
    if not as_json:
        print(safe(found.text if path is None else f"{path}:\n{found.text}\n"), flush=True)
    elif path is None:
        print(json.dumps(found.document, indent=2, ensure_ascii=False), flush=True)
    else:
        line = {"file": str(path), "result": found.document}
        print(json.dumps(line, ensure_ascii=False), flush=True)
