"""`python -m vision_node_operator.release_setup`: prepare a release before its pods start.

A Job runs this before every install and upgrade of the chart. It creates the release's identity
and, for the bundled MinIO, the credentials. Whatever already exists stays as it is.
"""

import os

from vision_node_contract.clients.kube import Kube

from . import release_identity, storage_credentials
from .setup_job import run_to_end, with_retries


async def run() -> None:
    """Create the ConfigMap $IDENTITY_CONFIGMAP, and the Secret $STORAGE_SECRET if that is set."""
    namespace, identity = os.environ["POD_NAMESPACE"], os.environ["IDENTITY_CONFIGMAP"]
    secret = os.environ.get("STORAGE_SECRET")

    async with Kube.connect("release-setup") as kube:
        await with_retries(lambda: release_identity.ensure(kube, namespace, identity), identity)
        if secret:
            await with_retries(lambda: storage_credentials.ensure(kube, namespace, secret), secret)


def main() -> None:
    """Prepare the release. An error ends the pod, and the Job starts another pod."""
    run_to_end(run)


if __name__ == "__main__":
    main()
