"""Build an ONNX graph, and write it as the same bytes on every machine."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.generic]

# Old enough for every onnxruntime that runs on the supported versions of Python.
OPSET = 17
IR_VERSION = 8
PRODUCER = "vision-node"

# Tensors up to this number of elements are stored with 32 bits. They are biases and scalars, which
# take no space, and whose error would add up.
FULL_PRECISION_ELEMENTS = 64

Attribute = int | float | str | list[int]

Shape = Sequence[int | str]
"""The sizes of a tensor's axes; a text names a size that the caller of the model chooses."""


class ConversionError(Exception):
    """The weights are not what the converter knows how to convert."""


class GraphBuilder:
    """Collects nodes and constants."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names = 0

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: str | Sequence[str] = "",
        **attributes: Attribute,
    ) -> str:
        """Add a node, and return the name of its first output; a new one if none is given."""
        names = [outputs or self._new_name()] if isinstance(outputs, str) else list(outputs)
        node = helper.make_node(operator, inputs, names)
        node.attribute.extend(
            helper.make_attribute(name, attributes[name]) for name in sorted(attributes)
        )
        self._nodes.append(node)

        return names[0]

    def constant(self, value: Array) -> str:
        """Add a constant, and return its name.

        A large one is stored with 16 bits and cast to 32 when the model is loaded.
        """
        name = self._new_name()

        if value.dtype == np.float32 and value.size > FULL_PRECISION_ELEMENTS:
            self._store(_halved(value), f"{name}_half")
            return self.add("Cast", [f"{name}_half"], name, to=TensorProto.FLOAT)

        self._store(value, name)
        return name

    def model(
        self, name: str, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]
    ) -> onnx.ModelProto:
        """Return the checked model."""
        graph = helper.make_graph(
            self._nodes, name, _described(inputs), _described(outputs), self._constants
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name=PRODUCER
        )
        onnx.checker.check_model(model, full_check=True)

        return model

    def _store(self, value: Array, name: str) -> None:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def _new_name(self) -> str:
        self._names += 1
        return f"t{self._names}"


def to_bytes(model: onnx.ModelProto) -> bytes:
    """Return the file's content: the same bytes for the same model."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _halved(value: Array) -> Array:
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)

    if not np.isfinite(half).all():
        raise ConversionError("a weight is too large for 16 bits")
    return half


def _described(values: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
        for name, shape in values.items()
    ]
