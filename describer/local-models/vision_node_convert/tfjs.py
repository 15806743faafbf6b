"""Read a graph model of TensorFlow.js: model.json and the file with its weights."""

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ValidationError

from vision_node_convert.graph import Array, ConversionError, Shape


class _Values(BaseModel):
    i: list[int] = []
    s: list[str] = []


class _Attribute(BaseModel):
    """A value. Only the field for its type is set."""

    s: str = ""
    f: float = 0.0
    b: bool = False
    list: _Values = _Values()


class Node(BaseModel):
    """An operation."""

    name: str
    op: str
    input: list[str] = []
    attr: dict[str, _Attribute] = {}

    @property
    def inputs(self) -> list[str]:
        """Names of its inputs. Each is a node, or a later output of a node, such as `split:1`."""
        return [name.removesuffix(":0") for name in self.input]

    def flag(self, name: str) -> bool:
        """Return the value of a Boolean attribute."""
        return self._attribute(name).b

    def number(self, name: str) -> float:
        """Return the value of a numeric attribute, such as the slope of an activation."""
        return self._attribute(name).f

    def integers(self, name: str) -> list[int]:
        """Return a list of integers, such as strides."""
        return self._attribute(name).list.i

    def text(self, name: str) -> str:
        """Return a string, such as the kind of padding."""
        return _decoded(self._attribute(name).s)

    def texts(self, name: str) -> list[str]:
        """Return a list of strings, such as the operations that were fused into a convolution."""
        return [_decoded(text) for text in self._attribute(name).list.s]

    def _attribute(self, name: str) -> _Attribute:
        if name not in self.attr:
            raise ConversionError(f"{self.op} {self.name} has no attribute {name}")
        return self.attr[name]


class _Topology(BaseModel):
    node: list[Node]


class _Dimension(BaseModel):
    size: int


class _TensorShape(BaseModel):
    dim: list[_Dimension]


# The fields have the same names as in the file.
class _Tensor(BaseModel):
    tensorShape: _TensorShape  # noqa: N815


class _Signature(BaseModel):
    inputs: dict[str, _Tensor]
    outputs: dict[str, _Tensor]


class _Metadata(BaseModel):
    signature: _Signature


class _Quantization(BaseModel):
    dtype: Literal["float16"]


class _Weight(BaseModel):
    name: str
    shape: list[int]
    dtype: Literal["float32", "int32"]
    quantization: _Quantization | None = None

    @property
    def stored(self) -> np.dtype[np.generic]:
        """Type of the values in the file of weights."""
        return np.dtype(self.quantization.dtype if self.quantization else self.dtype).newbyteorder(
            "<"
        )


class _WeightGroup(BaseModel):
    paths: list[str]
    weights: list[_Weight]


class _File(BaseModel):
    modelTopology: _Topology  # noqa: N815
    weightsManifest: list[_WeightGroup]  # noqa: N815
    signature: _Signature | None = None
    userDefinedMetadata: _Metadata | None = None  # noqa: N815


@dataclass(frozen=True)
class Model:
    """A graph model: its operations in an executable order, and its weights by name."""

    name: str
    nodes: list[Node]
    weights: dict[str, Array]
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]


def read(path: Path) -> Model:
    """Read model.json and the files that it names. Raises ConversionError if they are invalid."""
    try:
        file = _File.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConversionError(f"{path.name} is not a graph model: {error}") from None

    signature = file.signature or (file.userDefinedMetadata and file.userDefinedMetadata.signature)
    if not signature:
        raise ConversionError(f"{path.name} does not name its inputs and outputs")

    weights = {
        name: value
        for group in file.weightsManifest
        for name, value in _weights(group, path.parent)
    }
    return Model(
        path.stem,
        file.modelTopology.node,
        weights,
        _shapes(signature.inputs),
        _shapes(signature.outputs),
    )


def _shapes(tensors: dict[str, _Tensor]) -> dict[str, Shape]:
    return {
        name.removesuffix(":0"): [dimension.size for dimension in tensor.tensorShape.dim]
        for name, tensor in tensors.items()
    }


def _weights(group: _WeightGroup, folder: Path) -> Iterator[tuple[str, Array]]:
    content = b"".join((folder / path).read_bytes() for path in group.paths)
    position = 0

    for weight in group.weights:
        count = math.prod(weight.shape)
        end = position + count * weight.stored.itemsize
        if end > len(content):
            raise ConversionError(f"the weights end before {weight.name}")

        value = np.frombuffer(content[position:end], weight.stored)
        yield weight.name, value.reshape(weight.shape).astype(weight.dtype)
        position = end

    if position != len(content):
        raise ConversionError(f"{len(content) - position} bytes of weights belong to no tensor")


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
