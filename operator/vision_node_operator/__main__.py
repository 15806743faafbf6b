"""`python -m vision_node_operator`: run the operator."""

import logging

import uvloop

from .runtime.kopf_handlers import run
from .settings import Settings


def main() -> None:
    """Run the operator until SIGTERM."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )

    # These loggers write a line for every event and every probe.
    for noisy in ("kopf.objects", "kopf.activities", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    uvloop.run(run(Settings.from_env()))


if __name__ == "__main__":
    main()
