"""`python -m vision_node_describer`: run one worker."""

import logging
import os
from typing import NoReturn

import uvloop

from .settings import Settings
from .worker import run


def main() -> None:
    """Run a worker until it receives SIGTERM."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    uvloop.run(_run_and_exit())


async def _run_and_exit() -> NoReturn:
    """Run the worker, and then exit immediately. A normal exit would wait for hung threads."""
    status = 0
    try:
        await run(Settings.from_env())
    except Exception:
        logging.getLogger(__name__).exception("the worker failed")
        status = 1

    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    main()
