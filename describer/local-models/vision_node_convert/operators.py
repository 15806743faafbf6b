"""Convert a graph model of TensorFlow.js, operation by operation.

Only the operations of NanoDet-g and BlazeFace are supported. In TensorFlow, the channels are the
last axis. In ONNX's convolutions, they are the second axis, so each convolution is placed between
two transpositions. When onnxruntime loads the model, it removes transpositions that cancel out.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from vision_node_convert.graph import Array, ConversionError, GraphBuilder
from vision_node_convert.tfjs import Model, Node

CHANNELS_SECOND = [0, 3, 1, 2]
CHANNELS_LAST = [0, 2, 3, 1]

# Operations that TensorFlow.js may have fused into a convolution.
FUSED: tuple[list[str], ...] = ([], ["BiasAdd"], ["BiasAdd", "Relu"])

PADDINGS = {"SAME": "SAME_UPPER", "VALID": "VALID"}


class _Converter:
    """Adds the ONNX nodes for each operation."""

    def __init__(self, model: Model) -> None:
        self._graph = GraphBuilder()
        self._known = dict(model.weights)
        """Values that are known during the conversion: weights, and values computed from them."""
        self._constants: dict[str, str] = {}

    def convert(self, model: Model) -> onnx.ModelProto:
        for node in model.nodes:
            if node.op in {"Const", "Placeholder"}:
                continue
            if node.op in _COMPUTED and all(name in self._known for name in node.inputs):
                values = [self._known[name] for name in node.inputs]
                self._known[node.name] = _COMPUTED[node.op](*values)
            elif node.op in _OPERATORS:
                _OPERATORS[node.op](self, node)
            else:
                raise ConversionError(f"{node.name}: there is no rule for {node.op}")

        return self._graph.model(model.name, model.inputs, model.outputs)

    def convolution(self, node: Node) -> None:
        """Convert Conv2D, including any bias and activation that were fused into it."""
        kernel = self._value(node, 1).transpose(3, 2, 0, 1)
        self._convolve(node, kernel, groups=1)

    def depthwise_convolution(self, node: Node) -> None:
        """Convert a convolution that has its own kernel for each channel."""
        kernel = self._value(node, 1)
        height, width, channels, multiplier = kernel.shape
        shape = (channels * multiplier, 1, height, width)
        self._convolve(node, kernel.transpose(2, 3, 0, 1).reshape(shape), groups=channels)

    def _convolve(self, node: Node, kernel: Array, *, groups: int) -> None:
        fused = node.texts("fused_ops") if "fused_ops" in node.attr else []
        if fused not in FUSED:
            raise ConversionError(f"{node.name}: there is no rule for a convolution with {fused}")

        bias = [self._graph.constant(self._value(node, 2).reshape(-1))] if fused else []
        result = self._graph.add(
            "Conv",
            [self._channels_second(node), self._graph.constant(kernel), *bias],
            strides=_height_and_width(node, "strides"),
            dilations=_height_and_width(node, "dilations"),
            auto_pad=PADDINGS[node.text("padding")],
            group=groups,
            kernel_shape=[*kernel.shape[2:]],
        )
        if "Relu" in fused:
            result = self._graph.add("Relu", [result])
        self._channels_last(result, node)

    def max_pool(self, node: Node) -> None:
        """Convert MaxPool."""
        result = self._graph.add(
            "MaxPool",
            [self._channels_second(node)],
            kernel_shape=_height_and_width(node, "ksize"),
            strides=_height_and_width(node, "strides"),
            auto_pad=PADDINGS[node.text("padding")],
        )
        self._channels_last(result, node)

    def resize_bilinear(self, node: Node) -> None:
        """Convert ResizeBilinear. The height and width of its result must be constants."""
        if node.flag("align_corners") or not node.flag("half_pixel_centers"):
            raise ConversionError(f"{node.name}: only half-pixel centers are supported")

        x = self._channels_second(node)
        unchanged = self._graph.add("Shape", [x], start=0, end=2)
        changed = self._graph.constant(self._value(node, 1).astype(np.int64))
        size = self._graph.add("Concat", [unchanged, changed], axis=0)
        result = self._graph.add(
            "Resize",
            [x, "", "", size],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        self._channels_last(result, node)

    def pad(self, node: Node) -> None:
        """Convert Pad, or PadV2, which has an input for the padding value."""
        amounts = self._value(node, 1).astype(np.int64)
        inputs = [self._input(node, 0), self._graph.constant(np.concatenate([*amounts.T]))]
        if node.op == "PadV2":
            inputs.append(self._graph.constant(self._value(node, 2).reshape(())))

        self._graph.add("Pad", inputs, node.name)

    def transpose(self, node: Node) -> None:
        """Convert Transpose."""
        order = [int(axis) for axis in self._value(node, 1)]
        self._graph.add("Transpose", [self._input(node, 0)], node.name, perm=order)

    def reshape(self, node: Node) -> None:
        """Convert Reshape."""
        shape = self._graph.constant(self._value(node, 1).astype(np.int64))
        self._graph.add("Reshape", [self._input(node, 0), shape], node.name)

    def concat(self, node: Node) -> None:
        """Convert ConcatV2, whose last input is the axis."""
        parts = [self._input(node, position) for position in range(len(node.inputs) - 1)]
        self._graph.add("Concat", parts, node.name, axis=self._value(node, -1).item())

    def split(self, node: Node) -> None:
        """Convert SplitV."""
        sizes = self._value(node, 1).astype(np.int64)
        outputs = [node.name, *(f"{node.name}:{part}" for part in range(1, sizes.size))]
        inputs = [self._input(node, 0), self._graph.constant(sizes)]
        self._graph.add("Split", inputs, outputs, axis=self._value(node, 2).item())

    def leaky_relu(self, node: Node) -> None:
        """Convert LeakyRelu."""
        self._graph.add("LeakyRelu", [self._input(node, 0)], node.name, alpha=node.number("alpha"))

    def same_in_onnx(self, node: Node) -> None:
        """Convert an operation that also exists in ONNX, with the same inputs and no attributes."""
        operator = node.op.removesuffix("V2")
        inputs = [self._input(node, position) for position in range(len(node.inputs))]
        self._graph.add(operator, inputs, node.name)

    def _input(self, node: Node, position: int) -> str:
        """Return the ONNX name of an input. If it is a constant, add the constant on first use."""
        name = node.inputs[position]
        if name not in self._known:
            return name

        if name not in self._constants:
            self._constants[name] = self._graph.constant(self._known[name])
        return self._constants[name]

    def _value(self, node: Node, position: int) -> Array:
        name = node.inputs[position]
        if name not in self._known:
            raise ConversionError(f"{node.op} {node.name}: {name} is not a constant")
        return self._known[name]

    def _channels_second(self, node: Node) -> str:
        return self._graph.add("Transpose", [self._input(node, 0)], perm=CHANNELS_SECOND)

    def _channels_last(self, result: str, node: Node) -> None:
        self._graph.add("Transpose", [result], node.name, perm=CHANNELS_LAST)


def _height_and_width(node: Node, name: str) -> list[int]:
    batch, height, width, channels = node.integers(name)
    if (batch, channels) != (1, 1):
        raise ConversionError(f"{node.name}: {name} must be 1 for batch and channels")
    return [height, width]


def _sparse_to_dense(indices: Array, shape: Array, values: Array, default: Array) -> Array:
    """Compute SparseToDense without indices, a form in which TensorFlow writes constants."""
    if indices.size or values.size:
        raise ConversionError("SparseToDense is supported only without values")
    return np.full([int(size) for size in np.atleast_1d(shape)], default.item(), default.dtype)


# Operations whose result is computed during the conversion if all inputs are known.
_COMPUTED: Mapping[str, Callable[..., Array]] = {"AddV2": np.add, "SparseToDense": _sparse_to_dense}

_OPERATORS: Mapping[str, Callable[[_Converter, Node], None]] = {
    "Add": _Converter.same_in_onnx,
    "AddV2": _Converter.same_in_onnx,
    "ConcatV2": _Converter.concat,
    "Conv2D": _Converter.convolution,
    "DepthwiseConv2dNative": _Converter.depthwise_convolution,
    "Identity": _Converter.same_in_onnx,
    "LeakyRelu": _Converter.leaky_relu,
    "MaxPool": _Converter.max_pool,
    "Pad": _Converter.pad,
    "PadV2": _Converter.pad,
    "Relu": _Converter.same_in_onnx,
    "Reshape": _Converter.reshape,
    "ResizeBilinear": _Converter.resize_bilinear,
    "Sigmoid": _Converter.same_in_onnx,
    "SplitV": _Converter.split,
    "Transpose": _Converter.transpose,
    "_FusedConv2D": _Converter.convolution,
}


def convert(model: Model) -> onnx.ModelProto:
    """Return an ONNX model whose inputs and outputs have their original names and shapes."""
    return _Converter(model).convert(model)
