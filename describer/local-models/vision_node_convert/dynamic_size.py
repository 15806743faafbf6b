"""Make a converted model accept pictures of sizes other than the one in the published model."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

HEIGHT_AXIS, WIDTH_AXIS = 2, 3
CELLS_AXIS = 1
"""Axis of each output that has one entry for each cell of a grid over the picture."""


def accept_any_size(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that accepts any height and width that are multiples of its strides.

    Its resize operations get a scaling factor instead of a fixed output size.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    shapes = _shapes(model)

    for node in graph.node:
        if node.op_type == "Resize":
            ratio = f"{node.output[0]}_ratio"
            values = np.divide(shapes[node.output[0]], shapes[node.input[0]], dtype=np.float32)
            graph.initializer.append(numpy_helper.from_array(values, ratio))
            node.input[:] = [node.input[0], "", ratio]

    _remove_unused(graph)
    _name_sizes(graph)
    onnx.checker.check_model(changed, full_check=True)

    return changed


def _shapes(model: onnx.ModelProto) -> Mapping[str, Sequence[int]]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*inferred.graph.value_info, *inferred.graph.input)
    }


def _remove_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and constants that computed the sizes."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)

    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _name_sizes(graph: onnx.GraphProto) -> None:
    for picture in graph.input:
        sizes = picture.type.tensor_type.shape.dim
        sizes[HEIGHT_AXIS].dim_param, sizes[WIDTH_AXIS].dim_param = "h", "w"

    for output in graph.output:
        output.type.tensor_type.shape.dim[CELLS_AXIS].dim_param = f"{output.name}_n"
