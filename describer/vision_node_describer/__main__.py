"""`python -m vision_node_describer`: run one worker."""

import logging
import os

import uvloop

from .settings import Settings
from .worker import run


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    status = 0
    try:
        uvloop.run(run(Settings.from_env()))
    except Exception:
        logging.getLogger(__name__).exception("the worker ends")
        status = 1
    logging.shutdown()
    os._exit(status)  # Python would wait for every thread, and one that hangs in a describer never ends


if __name__ == "__main__":
    main()
