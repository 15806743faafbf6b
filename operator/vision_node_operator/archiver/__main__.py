"""`python -m vision_node_operator.archiver`: run the archiver."""

import logging

import uvloop
from vision_node_contract.garbage_collection import freeze_garbage_collection

from .service import run
from .settings import Settings


def main() -> None:
    """Run the archiver until SIGTERM."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # The pool would log each attempt to connect. The archiver logs once that the database is away.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    freeze_garbage_collection()
    uvloop.run(run(Settings.from_env()))


if __name__ == "__main__":
    main()
