"""Summarize how a converted model differs from the file in the repository."""

from pathlib import Path

import onnx

from vision_node_convert.graph import to_bytes

IDENTICAL = "identical"
NEW = "new"


def compare(file: Path, model: onnx.ModelProto) -> str:
    """Return "identical", "new", or a summary of the differences."""
    if not file.exists():
        return NEW
    if file.read_bytes() == to_bytes(model):
        return IDENTICAL

    old = onnx.load(file)
    return (
        ", ".join([*_tensor_changes(old, model), *_node_changes(old, model)]) or "metadata changed"
    )


def _tensor_changes(old: onnx.ModelProto, new: onnx.ModelProto) -> list[str]:
    before, after = ({t.name: t for t in model.graph.initializer} for model in (old, new))
    found = {
        "changed": [name for name in before.keys() & after.keys() if before[name] != after[name]],
        "added": after.keys() - before.keys(),
        "removed": before.keys() - after.keys(),
    }
    return [f"tensors {change}: {len(names)}" for change, names in found.items() if names]


def _node_changes(old: onnx.ModelProto, new: onnx.ModelProto) -> list[str]:
    before, after = list(old.graph.node), list(new.graph.node)
    return [] if before == after else [f"nodes changed: {len(before)} before, {len(after)} now"]
