"""Serve the API on port 8000 (`python -m vision_node_api`)."""

import logging
from typing import Any

import uvicorn
from vision_node_contract.clients.bucket import BucketSettings
from vision_node_contract.garbage_collection import freeze_garbage_collection
from vision_node_contract.listening import listen

from .app import create_app
from .settings import Settings
from .web.http_protocol import HttpProtocol
from .web.http_settings import HttpSettings

PORT = 8000

GRACE_SECONDS = 10
"""Number of seconds that requests in progress may take to finish after SIGTERM."""


def main() -> None:
    """Serve the API until the process receives SIGTERM."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )

    http = HttpSettings.from_env()
    app = create_app(Settings.from_env(), http, BucketSettings.from_env())
    freeze_garbage_collection()

    server = uvicorn.Server(uvicorn.Config(app, **server_options(http)))
    server.run(sockets=listen(PORT))


def server_options(http: HttpSettings) -> dict[str, Any]:
    """Return the options for uvicorn."""
    return {
        "http": HttpProtocol,
        "access_log": False,
        "log_config": None,
        "timeout_keep_alive": http.keep_alive_seconds,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        # By default, uvicorn trusts any client on this machine, such as `kubectl port-forward`.
        # ProxyHeadersMiddleware trusts only the configured proxies.
        "proxy_headers": False,
    }


if __name__ == "__main__":
    main()
