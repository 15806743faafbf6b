"""`python -m vision_node_operator.archiver`: run the archiver."""

import gc
import logging

import uvloop

from .service import run
from .settings import Settings


def main() -> None:
    """Run the archiver until SIGTERM."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # The pool would log each attempt to connect. The archiver logs once that the database is away.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    # What the imports have created stays, so that no collection looks at it again: a complete one
    # takes 70 ms.
    gc.collect()
    gc.freeze()
    uvloop.run(run(Settings.from_env()))


if __name__ == "__main__":
    main()
