"""Convert the published weights, and update the files of vision_node_local_models: `make models`.

For each model, the program reports whether the file in the repository was already identical to the
converted model.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import vision_node_local_models

import cluster
from cluster.artifacts.cache import Cache, default_root
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run.progress import Progress
from vision_node_convert import checkpoint, dynamic_size, efficientnet, operators, sources, tfjs
from vision_node_convert.comparison import IDENTICAL, compare
from vision_node_convert.graph import ConversionError, to_bytes

SUMS = Path(__file__).parent.parent / "SHA256SUMS"
"""File with the checksums of the converted models, in the format of `sha256sum --check`."""


def convert(ctx: BuildContext) -> Iterator[tuple[Path, onnx.ModelProto]]:
    """Convert the models, and yield each one with the path of its file."""
    weights = checkpoint.read(sources.efficientnet_weights())
    yield vision_node_local_models.EFFICIENTNET, efficientnet.convert(weights)

    folder = sources.human_models(ctx)
    nanodet = operators.convert(tfjs.read(folder / sources.NANODET))
    yield vision_node_local_models.NANODET, dynamic_size.accept_any_size(nanodet)

    blazeface = operators.convert(tfjs.read(folder / sources.BLAZEFACE))
    yield vision_node_local_models.BLAZEFACE, blazeface


def update(file: Path, model: onnx.ModelProto) -> str:
    """Write the model unless the file is identical, and return a summary of the changes."""
    found = compare(file, model)
    if found != IDENTICAL:
        file.write_bytes(to_bytes(model))

    return found


def sums(files: list[Path]) -> str:
    """Return the content of SHA256SUMS."""
    root = SUMS.parent
    lines = (
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(root)}\n"
        for file in files
    )
    return "".join(lines)


def main() -> int:
    """Convert all models. Errors that the user can fix are printed without a traceback."""
    cache = Cache(default_root())
    ctx = BuildContext(Path(cluster.__file__).parent.parent, cache, Progress(cache.logs))
    files = []

    try:
        for file, model in convert(ctx):
            print(f"{file.name}: {update(file, model)}")
            files.append(file)
    except (ClusterError, ConversionError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1

    SUMS.write_text(sums(files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
