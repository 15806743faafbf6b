"""`python -m vision_node_operator.release_setup`: prepare a release before its pods start.

A Job runs this before every install and upgrade of the chart. It creates the release's identity,
the credentials of the bundled MinIO and PostgreSQL, the secret of webhooks, and the first API key.
Whatever already exists stays as it is.
"""

import os

from vision_node_contract.clients.kube import Kube

from . import (
    access_keys,
    database_credentials,
    release_identity,
    storage_credentials,
    webhook_secret,
)
from .access_keys import AccessSecrets
from .setup_job import run_to_end, with_retries


async def run() -> None:
    """Create the ConfigMap $IDENTITY_CONFIGMAP.

    Also create the Secrets $STORAGE_SECRET, $DATABASE_SECRET, $WEBHOOK_SECRET, and $KEYS_SECRET
    with $ADMIN_KEY_SECRET, if these are set.
    """
    namespace, identity = os.environ["POD_NAMESPACE"], os.environ["IDENTITY_CONFIGMAP"]
    storage = os.environ.get("STORAGE_SECRET")
    database = os.environ.get("DATABASE_SECRET")
    webhooks = os.environ.get("WEBHOOK_SECRET")
    keys = os.environ.get("KEYS_SECRET")

    async with Kube.connect("release-setup") as kube:
        await with_retries(lambda: release_identity.ensure(kube, namespace, identity), identity)
        if storage:
            await with_retries(
                lambda: storage_credentials.ensure(kube, namespace, storage), storage
            )

        if database:
            await with_retries(
                lambda: database_credentials.ensure(kube, namespace, database), database
            )

        if webhooks:
            await with_retries(lambda: webhook_secret.ensure(kube, namespace, webhooks), webhooks)

        if keys:
            names = AccessSecrets(keys, os.environ["ADMIN_KEY_SECRET"])
            await with_retries(lambda: access_keys.ensure(kube, namespace, names), keys)


def main() -> None:
    """Prepare the release. An error ends the pod, and the Job starts another pod."""
    run_to_end(run)


if __name__ == "__main__":
    main()
