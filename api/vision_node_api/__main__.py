"""`python -m vision_node_api`: serve on port 8000."""

import logging

import uvicorn
from vision_node_contract.store import StoreSettings

from .app import create
from .settings import Settings

PORT = 8000
GRACE_SECONDS = 10
"""For requests under way at SIGTERM."""


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    uvicorn.run(
        create(Settings.from_env(), StoreSettings.from_env()),
        host="0.0.0.0",  # noqa: S104 (in its pod; the Service decides who reaches it)
        port=PORT,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
