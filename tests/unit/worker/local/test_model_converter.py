"""Tests of `make models` with small networks: layers, file contents and reported changes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from vision_node_convert import efficientnet
from vision_node_convert.__main__ import update
from vision_node_convert.comparison import compare
from vision_node_convert.graph import Array, ConversionError, GraphBuilder, to_bytes

FLOAT = np.float32


def run(model: onnx.ModelProto, **inputs: Array) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(to_bytes(model), providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(None, inputs)
    return found


def test_folded_convolution_normalizes_its_result() -> None:
    numbers = np.random.default_rng(1)
    weights = {"c.weight": numbers.normal(size=(2, 3, 1, 1)), "n.running_var": np.array([4.0, 9.0])}
    for part in ("weight", "bias", "running_mean"):
        weights[f"n.{part}"] = numbers.normal(size=2)

    pixel = numbers.normal(size=3)
    plain = weights["c.weight"][..., 0, 0] @ pixel
    deviation = np.sqrt(weights["n.running_var"] + 1e-3)
    normal = (plain - weights["n.running_mean"]) / deviation * weights["n.weight"] + weights[
        "n.bias"
    ]

    kernel, bias = efficientnet.folded(weights, "c", "n")
    np.testing.assert_allclose(kernel[..., 0, 0] @ pixel + bias, normal, rtol=1e-5)


def tiny_weights(blocks: int) -> Iterator[tuple[str, Array]]:
    """Yield weights of EfficientNet with 4 channels and the given number of blocks."""
    numbers = np.random.default_rng(1)

    def layer(convolution: str, norm: str, *shape: int) -> Iterator[tuple[str, Array]]:
        yield f"{convolution}.weight", numbers.normal(size=shape).astype(FLOAT)
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{norm}.{part}", np.ones(shape[0], FLOAT)

    yield from layer("_conv_stem", "_bn0", 4, 3, 3, 3)
    for block in range(blocks):
        prefix = f"_blocks.{block}."
        yield from layer(f"{prefix}_depthwise_conv", f"{prefix}_bn1", 4, 1, 3, 3)
        yield from layer(f"{prefix}_project_conv", f"{prefix}_bn2", 4, 4, 1, 1)
    yield from layer("_conv_head", "_bn1", 4, 4, 1, 1)
    yield "_fc.weight", numbers.normal(size=(1000, 4)).astype(FLOAT)
    yield "_fc.bias", np.zeros(1000, FLOAT)


def test_efficientnet_returns_probabilities() -> None:
    model = efficientnet.convert(dict(tiny_weights(21)))
    found = run(model, pixels=np.zeros((2, 3, 260, 260), FLOAT))[0]
    assert found.shape == (2, 1000)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_weights_of_a_larger_efficientnet_are_refused() -> None:
    with pytest.raises(ConversionError, match="more blocks"):
        efficientnet.convert(dict(tiny_weights(22)))


def tiny_model(*values: float) -> onnx.ModelProto:
    graph = GraphBuilder()
    graph.add("Add", ["x", graph.constant(np.array(values, FLOAT))], "y")
    return graph.model("tiny", {"x": (len(values),)}, {"y": (len(values),)})


def test_same_model_has_the_same_bytes() -> None:
    assert to_bytes(tiny_model(1, 2)) == to_bytes(tiny_model(1, 2))


def test_weight_that_is_too_large_for_16_bits_is_refused() -> None:
    with pytest.raises(ConversionError, match="too large for 16 bits"):
        tiny_model(*[1e5] * 65)


def test_large_constant_is_stored_with_16_bits_and_computed_with_32() -> None:
    model = tiny_model(*[0.1] * 65)
    (stored,) = model.graph.initializer
    assert stored.data_type == onnx.TensorProto.FLOAT16
    found = run(model, x=np.full(65, 1000, FLOAT))[0]
    np.testing.assert_array_equal(found, FLOAT(1000) + FLOAT(np.float16(0.1)))


def test_update_writes_only_changed_models(tmp_path: Path) -> None:
    file = tmp_path / "tiny.onnx"
    assert update(file, tiny_model(1)) == "new"
    before = file.stat().st_mtime_ns

    assert update(file, tiny_model(1)) == "identical"
    assert file.stat().st_mtime_ns == before

    assert update(file, tiny_model(2)) == "tensors changed: 1"
    assert file.read_bytes() == to_bytes(tiny_model(2))


def test_changed_nodes_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "tiny.onnx"
    update(file, tiny_model(1))
    graph = GraphBuilder()
    doubled = graph.add("Add", ["x", "x"])
    graph.add("Add", [doubled, graph.constant(np.array([1], FLOAT))], "y")
    other = graph.model("tiny", {"x": (1,)}, {"y": (1,)})

    assert (
        compare(file, other)
        == "tensors added: 1, tensors removed: 1, nodes changed: 1 before, 2 now"
    )


def test_changed_metadata_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "tiny.onnx"
    update(file, tiny_model(1))
    other = tiny_model(1)
    other.producer_version = "2"
    assert compare(file, other) == "metadata changed"
