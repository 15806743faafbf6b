"""Build the image of the bundled PostgreSQL from Debian's packages.

`docker build` builds it from the Dockerfile in cluster/postgres. Where no image registry answers,
this module builds it from the same folder with mmdebstrap. A test compares the layouts.
"""

import shlex
from pathlib import Path

from cluster import versions
from cluster.artifacts import archive, debian

FOLDER = "cluster/postgres"
"""Folder with the Dockerfile, the entrypoint and the server's settings."""

PACKAGES = ("postgresql-17", "libnss-wrapper")

FILES = {
    "entrypoint": "usr/local/bin/vision-node-postgres",
    "postgresql.conf": "etc/vision-node/postgresql.conf",
    "pg_hba.conf": "etc/vision-node/pg_hba.conf",
}
"""Files of the folder that the image includes, with their paths there."""

NO_CLUSTER = (
    "mkdir -p {root}/etc/postgresql-common"
    ' && echo "create_main_cluster = false" > {root}/etc/postgresql-common/createcluster.conf'
)
"""Command that keeps Debian's package from creating a server's data in the image."""

ENTRYPOINT = ("vision-node-postgres",)
ENVIRONMENT = (
    "PATH=/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin",
    "PGDATA=/data/postgresql",
    "PGHOST=/tmp",
    "PGUSER=postgres",
)
USER = "10001:10001"
STOP_SIGNAL = "SIGINT"
LABELS = (
    ("org.opencontainers.image.title", "vision-node-postgres"),
    ("org.opencontainers.image.licenses", "PostgreSQL"),
    ("org.opencontainers.image.source", "https://salsa.debian.org/postgresql/postgresql"),
)


def root_file_system(folder: Path) -> debian.RootFileSystem:
    """Return the root file system, without what the script `slim` in the folder removes."""
    slim = (folder / "slim").read_text()
    no_cluster = NO_CLUSTER.format(root='"$1"')
    hooks = (
        f"--essential-hook={no_cluster}",
        f'--customize-hook=chroot "$1" sh -ec {shlex.quote(slim)}',
    )

    return debian.RootFileSystem(
        "postgres", versions.DEBIAN_OF_POSTGRES, "essential", PACKAGES, hooks
    )


def write(root: Path, folder: Path, name: str, target: Path) -> None:
    """Write the image as an archive that `docker load` reads.

    Args:
        root: The tar file of the root file system.
        folder: The folder with the image's other files.
        name: The image's full name.
        target: The archive to write.
    """
    layer = target.with_suffix(".layer")
    archive.pack_files(contents(folder), layer)

    image = archive.Image(
        tags=(name,),
        layers=(root, layer),
        entrypoint=ENTRYPOINT,
        environment=ENVIRONMENT,
        user=USER,
        labels=LABELS,
        stop_signal=STOP_SIGNAL,
    )
    archive.write([image], target)
    layer.unlink()


def contents(folder: Path) -> dict[str, archive.Content]:
    """Return the files that the image has in addition to the packages, by their paths."""
    return {path: folder / name for name, path in FILES.items()}
