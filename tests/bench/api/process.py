"""Start the API as its container does, but with a fake API server.

Run this module with `python -m bench.api.process PORT KUBE_URL`. Everything else comes from the
environment, as in a pod.
"""

import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from vision_node_api import __main__ as api
from vision_node_contract.clients import kube_auth


def main(port: int, kube_url: str) -> None:
    """Serve the API until the process receives SIGTERM."""

    @asynccontextmanager
    async def connect(component: str) -> AsyncIterator[kube_auth.Access]:
        # The authorities that a pod loads for TLS take memory, too.
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
        async with aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": f"vision-node/{component}"},
            read_bufsize=kube_auth.LINE_BYTES,
        ) as session:
            yield kube_auth.Access(session, kube_url)

    kube_auth.connect = connect
    api.PORT = port
    api.main()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
