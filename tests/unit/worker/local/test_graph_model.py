"""Tests of converting graph models of TensorFlow.js: each operation, and errors."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from vision_node_convert import operators, tfjs
from vision_node_convert.graph import Array, ConversionError, to_bytes

FLOAT = np.float32


def run(model: onnx.ModelProto, **inputs: Array) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(to_bytes(model), providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(None, inputs)
    return found


def node(name: str, op: str, *inputs: str, **attributes: object) -> dict[str, object]:
    """Return an operation in the format of model.json."""

    def encoded(value: object) -> dict[str, object]:
        match value:
            case bool():
                return {"b": value}
            case float():
                return {"f": value}
            case str():
                return {"s": base64.b64encode(value.encode()).decode()}
            case [str(), *_]:
                return {"list": {"s": [encoded(text)["s"] for text in value]}}
            case [int(), *_]:
                return {"list": {"i": [str(number) for number in value]}}
        raise TypeError(value)

    attr = {key: encoded(value) for key, value in attributes.items()}
    return {"name": name, "op": op, "input": list(inputs), "attr": attr}


def written(
    folder: Path,
    nodes: Sequence[object],
    weights: Mapping[str, Array],
    shapes: tuple[Sequence[int], Sequence[int]],
) -> tfjs.Model:
    """Write a graph model with one input `x` and one output `y`, and read it."""

    def tensor(name: str, shape: Sequence[int]) -> dict[str, object]:
        return {f"{name}:0": {"tensorShape": {"dim": [{"size": str(size)} for size in shape]}}}

    def described(name: str, value: Array) -> dict[str, object]:
        weight: dict[str, object] = {"name": name, "shape": value.shape, "dtype": str(value.dtype)}
        if value.dtype == np.float16:
            weight |= {"dtype": "float32", "quantization": {"dtype": "float16"}}
        return weight

    content = {
        "signature": {"inputs": tensor("x", shapes[0]), "outputs": tensor("y", shapes[1])},
        "modelTopology": {"node": [node("x", "Placeholder"), *nodes]},
        "weightsManifest": [
            {"paths": ["tiny.bin"], "weights": [described(*item) for item in weights.items()]}
        ],
    }
    (folder / "tiny.bin").write_bytes(b"".join(value.tobytes() for value in weights.values()))
    file = folder / "tiny.json"
    file.write_text(json.dumps(content))
    return tfjs.read(file)


ONES = [1, 1, 1, 1]
SQUARE = np.arange(16, dtype=FLOAT).reshape(1, 4, 4, 1)
CONVOLUTION = {"strides": ONES, "dilations": ONES, "padding": "VALID"}


def integers(*values: int) -> Array:
    return np.array(values, np.int32)


# Each case: the operation that computes `y`, its weights, and the result for SQUARE.
CASES: Mapping[str, tuple[dict[str, object], Mapping[str, Array], Array]] = {
    "convolution": (
        node("y", "Conv2D", "x", "w", **CONVOLUTION),
        {"w": np.array([1, 2, 3, 4], FLOAT).reshape(2, 2, 1, 1)},
        np.array([34, 44, 54, 74, 84, 94, 114, 124, 134], FLOAT).reshape(1, 3, 3, 1),
    ),
    "fused convolution": (
        node("y", "_FusedConv2D", "x", "w", "b", **CONVOLUTION, fused_ops=["BiasAdd", "Relu"]),
        {"w": np.ones((1, 1, 1, 1), FLOAT), "b": np.array([-10], FLOAT)},
        np.maximum(SQUARE - 10, 0),
    ),
    "padded at the end": (
        node("y", "Conv2D", "x", "w", strides=[1, 2, 2, 1], dilations=ONES, padding="SAME"),
        {"w": np.ones((3, 3, 1, 1), FLOAT)},
        np.array([45, 39, 66, 50], FLOAT).reshape(1, 2, 2, 1),
    ),
    "depthwise convolution": (
        node("y", "DepthwiseConv2dNative", "x", "w", **CONVOLUTION),
        {"w": np.array([1, 10], FLOAT).reshape(1, 1, 1, 2)},
        np.concatenate([SQUARE, SQUARE * 10], axis=3),
    ),
    "pooling": (
        node("y", "MaxPool", "x", ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME"),
        {},
        np.array([5, 7, 13, 15], FLOAT).reshape(1, 2, 2, 1),
    ),
    "resize": (
        node("y", "ResizeBilinear", "x", "s", align_corners=False, half_pixel_centers=True),
        {"s": integers(2, 2)},
        np.array([2.5, 4.5, 10.5, 12.5], FLOAT).reshape(1, 2, 2, 1),
    ),
    "pad": (
        node("y", "PadV2", "x", "p", "v"),
        {"p": integers(0, 0, 1, 0, 0, 2, 0, 0).reshape(4, 2), "v": np.array(-1, FLOAT)},
        np.pad(SQUARE, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=-1),
    ),
    "leaky relu": (
        node("y", "LeakyRelu", "x", alpha=0.5),
        {},
        SQUARE,
    ),
    "reshape": (node("y", "Reshape", "x", "s"), {"s": integers(1, 2, -1)}, SQUARE.reshape(1, 2, 8)),
    "transpose": (
        node("y", "Transpose", "x", "o"),
        {"o": integers(0, 2, 1, 3)},
        SQUARE.transpose(0, 2, 1, 3),
    ),
    "sum": (node("y", "AddV2", "x", "w"), {"w": np.array([3], FLOAT)}, SQUARE + 3),
    "two parts": (
        node("y", "ConcatV2", "x", "x", "axis"),
        {"axis": np.array(3, np.int32)},
        np.concatenate([SQUARE, SQUARE], axis=3),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_converted_operation_has_the_same_result_as_in_tensorflow(
    case: tuple[dict[str, object], Mapping[str, Array], Array], tmp_path: Path
) -> None:
    operation, weights, expected = case
    model = operators.convert(
        written(tmp_path, [operation], weights, (SQUARE.shape, expected.shape))
    )
    np.testing.assert_allclose(run(model, x=SQUARE)[0], expected, rtol=1e-6)


def test_leaky_relu_keeps_its_slope(tmp_path: Path) -> None:
    nodes = [node("y", "LeakyRelu", "x", alpha=0.25)]
    model = operators.convert(written(tmp_path, nodes, {}, ((2,), (2,))))
    np.testing.assert_array_equal(run(model, x=np.array([-4, 4], FLOAT))[0], [-1, 4])


def test_later_output_of_a_split_can_be_used(tmp_path: Path) -> None:
    nodes = [node("s", "SplitV", "x", "sizes", "axis"), node("y", "Identity", "s:1")]
    weights = {"sizes": integers(1, 3), "axis": np.array(1, np.int32)}
    model = operators.convert(written(tmp_path, nodes, weights, (SQUARE.shape, (1, 3, 4, 1))))
    np.testing.assert_array_equal(run(model, x=SQUARE)[0], SQUARE[:, 1:])


def test_shape_that_is_a_sum_of_constants_is_computed(tmp_path: Path) -> None:
    nodes = [
        node("zeros", "SparseToDense", "none", "three", "empty", "zero"),
        node("shape", "AddV2", "wanted", "zeros"),
        node("y", "Reshape", "x", "shape"),
    ]
    weights = {
        "none": np.zeros((0, 1), np.int32),
        "three": integers(3),
        "empty": np.zeros(0, np.int32),
        "zero": np.array(0, np.int32),
        "wanted": integers(1, 4, -1),
    }
    model = operators.convert(written(tmp_path, nodes, weights, (SQUARE.shape, (1, 4, 4))))
    np.testing.assert_array_equal(run(model, x=SQUARE)[0], SQUARE.reshape(1, 4, 4))


def test_weights_with_16_bits_are_read(tmp_path: Path) -> None:
    weights = {"h": np.array([1.5, 2.5], np.float16), "w": np.array([0.1], FLOAT)}
    found = written(tmp_path, [], weights, ((2,), (2,))).weights

    assert [found[name].dtype for name in ("h", "w")] == [np.float32, np.float32]
    np.testing.assert_array_equal(found["h"], [1.5, 2.5])
    np.testing.assert_array_equal(found["w"], weights["w"])


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (node("y", "Softmax", "x"), "no rule for Softmax"),
        (
            node("y", "_FusedConv2D", "x", "w", **CONVOLUTION, fused_ops=["BiasAdd", "Elu"]),
            "no rule for a convolution with",
        ),
        (
            node("y", "ResizeBilinear", "x", "w", align_corners=True, half_pixel_centers=False),
            "only half-pixel centers",
        ),
        (node("y", "Reshape", "x", "x"), "x is not a constant"),
        (node("y", "LeakyRelu", "x"), "has no attribute alpha"),
    ],
)
def test_unknown_operation_is_refused(
    operation: dict[str, object], message: str, tmp_path: Path
) -> None:
    weights = {"w": np.ones((1, 1, 1, 1), FLOAT)}
    model = written(tmp_path, [operation], weights, (SQUARE.shape, SQUARE.shape))
    with pytest.raises(ConversionError, match=message):
        operators.convert(model)


@pytest.mark.parametrize(
    ("content", "message"), [(b"\0" * 7, "end before w"), (b"\0" * 9, "1 byte")]
)
def test_weights_of_the_wrong_size_are_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    written(tmp_path, [], {"w": np.ones(2, FLOAT)}, ((2,), (2,)))
    (tmp_path / "tiny.bin").write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        tfjs.read(tmp_path / "tiny.json")
