"""`python -m vision_node_operator.storage_setup`: set up the bucket and users of the bundled MinIO.

A Job runs this at every install and upgrade, so it is idempotent. Each component gets only the
permissions that it needs, and only for the prefixes that it uses.
"""

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

import urllib3
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin
from vision_node_contract.bucket_keys import (
    BATCHES_PREFIX,
    IMAGES_PREFIX,
    INBOX_PREFIX,
    OWNERS_PREFIX,
    RESULTS_PREFIX,
)
from vision_node_contract.clients.bucket import BucketSettings

log = logging.getLogger(__name__)

READ, WRITE, REMOVE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"

ABORT = "s3:AbortMultipartUpload"
"""Right to give up an object that was stored in several parts and is not complete. WRITE includes
the other requests of such an upload."""

MANIFESTS = f"{BATCHES_PREFIX}*/m*/"
"""Pattern of the folders with frozen manifests. IAM's wildcard also stands for slashes. Still, no
other key matches: uids are hexadecimal, and nothing else in a batch's folder begins with an m,
except for uploads, which workers may read as well."""

BATCH_RESULTS = f"{BATCHES_PREFIX}*/results/"
"""Pattern of the folders with the results of shards."""

CHECKPOINTS = f"{BATCHES_PREFIX}*/checkpoints/"
"""Pattern of the folders with checkpoints of shards."""

INDEXES = f"{BATCHES_PREFIX}*/index/"
"""Pattern of the folders with the index objects, which say which results count."""

UPLOADS = f"{BATCHES_PREFIX}*/u/"
"""Pattern of the folders with uploaded images. None of them is in the folder of another pattern:
the parts of their keys have 10 characters, or 200, or end with a dot (see batch_uploads.py)."""

RIGHTS: dict[str, dict[str, list[str]]] = {
    "api": {
        IMAGES_PREFIX: [READ, WRITE, REMOVE],
        # HEAD requests require READ.
        INBOX_PREFIX: [READ, WRITE, REMOVE],
        RESULTS_PREFIX: [READ],
        BATCHES_PREFIX: [READ],
        UPLOADS: [WRITE, REMOVE, ABORT],
        OWNERS_PREFIX: [READ],
    },
    "operator": {
        IMAGES_PREFIX: [REMOVE],
        INBOX_PREFIX: [REMOVE],
        RESULTS_PREFIX: [REMOVE],
        INDEXES: [READ, WRITE],
        OWNERS_PREFIX: [READ, WRITE],
    },
    "archiver": {
        IMAGES_PREFIX: [REMOVE],
        INBOX_PREFIX: [READ],
        RESULTS_PREFIX: [READ, REMOVE],
        BATCHES_PREFIX: [READ, WRITE, REMOVE],
        OWNERS_PREFIX: [READ, WRITE],
    },
    "describer": {
        IMAGES_PREFIX: [READ],
        INBOX_PREFIX: [READ],
        RESULTS_PREFIX: [WRITE],
        MANIFESTS: [READ],
        BATCH_RESULTS: [WRITE],
        CHECKPOINTS: [READ, WRITE],
        UPLOADS: [READ],
    },
}
"""Allowed actions by component and key prefix. A prefix may contain IAM's wildcard `*`."""

ARCHIVED_PREFIXES = (IMAGES_PREFIX, RESULTS_PREFIX)
"""Folders whose objects the archiver deletes, so that the operator needs no right to. In older
charts, the operator deletes them."""

OPTIONAL_USERS = frozenset({"archiver"})
"""Components whose keys may be missing. Older charts, and Secrets that were made for them, don't
have these keys, and the other users must be set up nevertheless."""


def rights_of(component: str, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Return a component's rights. `environment` has the settings and the users' keys."""
    rights = RIGHTS[component]
    archives = environment.get("ARCHIVES_IMAGEJOBS") == "true"
    if component != "operator" or not archives or "ARCHIVER_SECRET_KEY" not in environment:
        return rights

    return {prefix: rights[prefix] for prefix in rights if prefix not in ARCHIVED_PREFIXES}


def policy(bucket: str, rights: dict[str, list[str]]) -> dict[str, Any]:
    """Return the IAM policy document for `rights` (prefix → actions) in `bucket`."""
    arn = f"arn:aws:s3:::{bucket}"
    statements: list[dict[str, Any]] = [
        # This permission lets clients check that the bucket exists. Without it, MinIO reports a
        # missing object as "denied".
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [arn]}
    ]
    for prefix, actions in rights.items():
        statements.append({"Effect": "Allow", "Action": actions, "Resource": [f"{arn}/{prefix}*"]})

    return {"Version": "2012-10-17", "Statement": statements}


def main() -> None:
    """Set up the bucket and the users. An error ends the pod, and the Job starts another pod."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = BucketSettings.from_env()
    timeout = urllib3.Timeout(connect=3, read=10)  # seconds
    # MinIO may still be starting.
    retries = urllib3.Retry(total=30, connect=30, read=0, backoff_factor=0.2, backoff_max=2)
    http = urllib3.PoolManager(timeout=timeout, retries=retries)

    make_bucket(settings, http)
    make_users(settings, http)


def make_bucket(settings: BucketSettings, http: urllib3.PoolManager) -> None:
    """Create the bucket if it does not exist."""
    minio = Minio(
        endpoint=settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=settings.secure,
        http_client=http,
    )
    if not minio.bucket_exists(bucket_name=settings.bucket):
        minio.make_bucket(bucket_name=settings.bucket)

    log.info("bucket %s exists", settings.bucket)


def make_users(settings: BucketSettings, http: urllib3.PoolManager) -> None:
    """Create or update each component's user and policy.

    The environment contains the users' keys: <COMPONENT>_ACCESS_KEY and <COMPONENT>_SECRET_KEY.
    """
    provider = StaticProvider(settings.access_key, settings.secret_key)
    admin = MinioAdmin(
        endpoint=settings.endpoint, credentials=provider, secure=settings.secure, http_client=http
    )

    for component in RIGHTS:
        name = f"vision-node-{component}"
        if component in OPTIONAL_USERS and f"{component.upper()}_SECRET_KEY" not in os.environ:
            log.warning("%s has no user: its keys are missing in the storage Secret", component)
            continue

        # Older charts don't set the access key, and name each user after its component.
        user = os.environ.get(f"{component.upper()}_ACCESS_KEY", component)
        admin.policy_add(name, policy=policy(settings.bucket, rights_of(component, os.environ)))
        admin.user_add(user, os.environ[f"{component.upper()}_SECRET_KEY"])
        admin.policy_set(name, user=user)
        log.info("the user of %s has its permissions", component)

        for former in former_users(json.loads(admin.user_list()), name, user):
            admin.user_remove(former)
            log.info("a former user of %s was removed", component)


def former_users(users: dict[str, dict[str, Any]], policy_name: str, user: str) -> list[str]:
    """Return a component's former users: those that have its policy but not its current key.

    Their keys were replaced, perhaps because they had leaked.

    Args:
        users: MinIO's information about each user, by access key.
        policy_name: Name of the component's policy, which no other component's user gets.
        user: The component's current access key.
    """
    return sorted(
        key for key, info in users.items() if info.get("policyName") == policy_name and key != user
    )


if __name__ == "__main__":
    main()
