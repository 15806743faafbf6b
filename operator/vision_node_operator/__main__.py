"""`python -m vision_node_operator`: run the operator."""

import asyncio
import logging

from .handlers import run
from .settings import Settings

LIVENESS = "http://0.0.0.0:8080/healthz"


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else a line for every event
    asyncio.run(run(Settings.from_env(), LIVENESS))


if __name__ == "__main__":
    main()
