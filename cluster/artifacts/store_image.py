"""Build the bundled store's image, which has only MinIO's program, its license and its source.

`docker build` builds it from the Dockerfile in cluster/go/minio. Where no image registry answers,
this module builds it from the same folder with Go alone. A test compares the layouts.
"""

from pathlib import Path

from cluster.artifacts import archive, golang
from cluster.artifacts.cache import files_below
from cluster.artifacts.golang import Program
from cluster.context import BuildContext

FOLDER = "cluster/go/minio"
"""Folder with the Go module, the Dockerfile, and a note on the source, which the image includes."""

PROGRAM = Program("minio", module="minio")
MODULE = "github.com/minio/minio"

ENTRYPOINT = ("/minio",)
USER = "10001:10001"
LABELS = (
    ("org.opencontainers.image.title", "vision-node-minio"),
    ("org.opencontainers.image.licenses", "AGPL-3.0-or-later"),
    ("org.opencontainers.image.source", "https://github.com/minio/minio"),
)

LICENSES = ("LICENSE", "NOTICE", "CREDITS")
"""Files of MinIO's module with its license and the licenses of its dependencies."""

FOLDERS = ("data", "tmp")
"""Empty folders that any user can write to."""

CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def write(ctx: BuildContext, program: Path, bundle: Path, name: str, target: Path) -> None:
    """Write the image as an archive that `docker load` reads.

    Args:
        ctx: The build context, which contains the Go module's folder.
        program: MinIO's binary.
        bundle: The file of certificate authorities that the program trusts.
        name: The image's full name.
        target: The archive to write.
    """
    module = golang.module_folder(ctx, PROGRAM, MODULE)
    layer = target.with_suffix(".layer")
    archive.pack_files(
        contents(program, module, ctx.package_folder / "go" / PROGRAM.module, bundle), layer
    )

    image = archive.Image((name,), (layer,), ENTRYPOINT, user=USER, labels=LABELS)
    archive.write([image], target)
    layer.unlink()


def contents(program: Path, module: Path, source: Path, bundle: Path) -> dict[str, archive.Content]:
    """Return the image's files by path; None stands for an empty folder."""
    return {
        "minio": program,
        CA_BUNDLE: bundle,
        **{f"licenses/{name}": module / name for name in LICENSES},
        **{f"source/{file.relative_to(source)}": file for file in files_below(source)},
        **dict.fromkeys(FOLDERS),
    }
