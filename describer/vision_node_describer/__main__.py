"""`python -m vision_node_describer`: run one worker."""

import logging

import uvloop

from .settings import Settings
from .worker import run


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    uvloop.run(run(Settings.from_env()))


if __name__ == "__main__":
    main()
